"""Images as arrays of 8-bit levels with any number of channels.

What people see has one or three channels; an image of more (colour with a mask, two images of one place, bands of
a satellite) is the same array [height, width, channels], only that no PNG holds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from tokenize import TokenError
from typing import IO, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.errors import ImageError

Pixels = NDArray[np.uint8]
"""[height, width, channels] in 0..255: grey for one channel, RGB for three"""

MAX_PIXELS = 100_000_000
"""Largest image decoded (300 MB as RGB). Refused from the header, before anything is decoded."""

MAX_LEVELS = 3 * MAX_PIXELS
"""Most bytes of an image with any number of channels."""

NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER = 10_000
"""Longest header of a .npy file, bytes; it is Python's notation, which takes time to parse."""

GREY, RGB, RGBA = 1, 3, 4
IMAGE_MODES = {GREY: "L", RGB: "RGB", RGBA: "RGBA"}
"""Channels that one image in a file can have, and what Pillow calls them."""

_ARRAYS = "[h, w, channels] or [h, w]: uint8 in 0..255, or float in 0..1"


def of_image(image: Image.Image, channels: int) -> Pixels:
    """Return an image of mode L, RGB or RGBA as an array: its luminance for 1 channel, its colours for 3.

    Raises ImageError where `channels` is a number that the image has not, and that does not follow from it.
    """
    if channels in {GREY, RGB} and image.mode != IMAGE_MODES[channels]:
        image = image.convert(IMAGE_MODES[channels])
    levels = np.asarray(image, dtype=np.uint8)
    return of_count(levels[:, :, None] if levels.ndim == 2 else levels, channels, "the image")  # noqa: PLR2004 - grey


def is_array(value: object) -> TypeGuard[NDArray[np.generic]]:
    """Whether it is an array, of whatever."""
    return isinstance(value, np.ndarray)


def to_pillow(pixels: Pixels) -> Image.Image | None:
    """Return the Pillow image of these pixels; None for a number of channels that Pillow has no image for."""
    if pixels.shape[2] not in IMAGE_MODES:
        return None
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == GREY else pixels))


def of_array(array: NDArray[np.generic], name: str = "an array") -> Pixels:
    """Levels [h, w, channels] from [h, w, channels] or [h, w]: uint8, or float in [0, 1] (rounded to 8 bits).

    Raises ImageError for any other type, shape or range; `name` is what errors call it.
    """
    axes = 3
    if array.ndim not in {2, axes} or 0 in array.shape:
        raise ImageError(
            found=f"{name} of shape {array.shape}",
            expected=f"{_ARRAYS}, for one image",
            fix="channels first: a.transpose(1, 2, 0); several images: list(a)",
        )
    array = array[:, :, None] if array.ndim < axes else array
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(found=f"{name} of {array.dtype}", expected=_ARRAYS, fix=_fix_of_numbers(array.dtype))
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # also catches values that are not numbers
        raise ImageError(
            found=f"{name} of floats with values from {low:g} to {high:g}",
            expected="values from 0 to 1",
            fix="0..255: a / 255; -1..1: (a + 1) / 2",
        )
    return np.rint(array.astype(np.float32) * np.float32(255)).astype(np.uint8)


def _fix_of_numbers(dtype: np.dtype[Any]) -> str:
    """How an array of other numbers becomes one of ours; which levels they are is not known from their type."""
    if dtype.kind == "b":
        return "a.astype('float32')"
    if dtype.kind not in "iu":
        return ""
    return "levels from 0 to 255: a.astype('uint8'); from 0 to 65535: (a / 65535).astype('float32')"


def of_count(pixels: Pixels, channels: int, name: str) -> Pixels:
    """Return the pixels with this many channels: grey and RGB become each other, nothing else is made up or dropped.

    Raises ImageError for another number.
    """
    own = pixels.shape[2]
    if own == channels:
        return pixels
    if (own, channels) == (GREY, RGB):
        return np.repeat(pixels, RGB, axis=2)
    if (own, channels) == (RGB, GREY):
        return of_image(Image.fromarray(pixels), GREY)
    raise ImageError(
        found=f"{name} has {own} channels (shape {pixels.shape})", expected=_wanted(channels), fix=_fix(own, channels)
    )


def _wanted(channels: int) -> str:
    if channels in {GREY, RGB}:
        return f"{channels} for this model: [h, w, 3] or [h, w]"
    return f"{channels} for this model, from one of: {SOURCES}"


SOURCES = (
    "an array or .npy of [h, w, channels], a multi-page TIFF whose pages are stacked, several files as "
    "a.png+b.png, or RGBA for 4"
)
"""How images of more channels than three come, in words."""


def _fix(own: int, channels: int) -> str:
    if channels in {GREY, RGB}:
        return "drop alpha with a[..., :3]; channels first: a.transpose(1, 2, 0); several images: list(a)"
    if own <= RGB and channels > own:
        return "several images of one place: i2i_runtime.stack(a, b), or a.png+b.png in place of one path"
    return f"keep the channels that the model learned from: a[..., :{channels}]"


def stack_channels(parts: Sequence[Pixels], name: str) -> Pixels:
    """Several images of one size as one, channel behind channel.

    Raises ImageError when their sizes differ, or there is too much of them.
    """
    sizes = {part.shape[:2] for part in parts}
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise ImageError(
            found=f"the parts of {name} have different sizes: {shown} pixels (width x height)",
            expected="parts of one size, so that what they show lies at the same place",
            fix="bring them to one size",
        )
    height, width = parts[0].shape[:2]
    check_levels(height, width, sum(part.shape[2] for part in parts), name)
    return np.concatenate(parts, axis=2)


def check_levels(height: int, width: int, channels: int, name: str) -> None:
    """Raise ImageError for more than `MAX_PIXELS` pixels, or `MAX_LEVELS` levels in all."""
    if width * height > MAX_PIXELS or width * height * channels > MAX_LEVELS:
        raise ImageError(
            found=f"{name} claims {width}x{height} pixels of {channels} channels",
            expected=f"at most {MAX_PIXELS:,} pixels in all, and {MAX_LEVELS:,} levels in all channels",
        )


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream, _NPY_HEADER)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(stream, _NPY_HEADER)
    except (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
        raise ImageError(found=f"{name} has a damaged .npy header: {error}", expected=_ARRAYS) from error
    raise ImageError(found=f"{name} is a .npy of version {version}", expected="version 1.0 or 2.0")


def read_npy(stream: IO[bytes], size: int, name: str) -> Pixels:
    """Return the levels of a .npy file of `size` bytes. Raises ImageError for whatever is no image."""
    return of_array(load_npy(stream, size, name), name)


def load_npy(stream: IO[bytes], size: int, name: str) -> NDArray[np.generic]:
    """Return the numbers [h, w] or [h, w, channels] of a .npy file of `size` bytes, as they are.

    Its header is checked before memory is taken, nothing is unpickled.

    Raises ImageError for whatever is no image.
    """
    shape, is_fortran, dtype = _read_header(stream, name)
    if dtype.kind not in "biuf":
        raise ImageError(found=f"{name} is a .npy of {dtype}", expected=_ARRAYS)
    if len(shape) not in {2, 3} or min(shape) < 1:
        raise ImageError(found=f"{name} is a .npy of shape {shape}", expected=_ARRAYS)
    check_levels(shape[0], shape[1], math.prod(shape[2:]), name)
    needed, left = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed != left:
        raise ImageError(found=f"{name} has {left} bytes of numbers", expected=f"{needed}, as its header says")
    values = np.frombuffer(stream.read(needed), dtype=dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")
