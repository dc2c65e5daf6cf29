"""Images whose numbers are names: label maps and instance maps, read as they are and never converted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from i2i_runtime.errors import ImageError
from i2i_runtime.files.regular import open_regular
from i2i_runtime.image.folders import formats
from i2i_runtime.image.pixels import RGB, Pixels
from i2i_runtime.image.reading import ImageSource, check_pixel_count, decoding, read_pixels
from i2i_runtime.type_guards import is_path

IndexMap: TypeAlias = NDArray[np.int32]
"""Whole numbers [h, w]."""

Colours: TypeAlias = Mapping[str, tuple[int, int, int]]
"""Name of a class -> its colour, each of three levels in 0..255; classes are counted in this order."""

_WHOLE = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})
"""Pillow's modes of one whole number per pixel; of an image with a palette it is the index."""
_COLOURED = frozenset({"P", "PA", "RGB", "RGBA"})
"""Pillow's modes whose pixels are colours, the palette's among them."""

_MAP_RANK = 2
"""height, width"""


def read_index_map(source: ImageSource, colours: Colours | None = None) -> IndexMap:
    """Return the numbers [h, w] of an image of one channel, upright: levels, or indices into its palette.

    With `colours`, images in colours and those with a palette are read by colour instead: a palette may have any
    order. Grey images and arrays [h, w] are numbers all the same.

    Raises ImageError when it is missing, damaged, empty, larger than `MAX_PIXELS`, has fractions, numbers that 32 bits
    do not hold, or colours that nobody named.
    """
    if isinstance(source, np.ndarray):
        if colours and source.ndim > _MAP_RANK:
            return _by_colour(read_pixels(source, RGB), colours, "an array")
        return _whole(source, "an array")
    name = "the PIL image" if isinstance(source, Image.Image) else _name(source)
    image = source if isinstance(source, Image.Image) else _decoded(source, name)
    if colours and image.mode in _COLOURED:
        return _by_colour(read_pixels(image, RGB), colours, name)
    if image.mode not in _WHOLE:
        raise ImageError(
            found=f"{name} is an image of mode {image.mode}",
            expected="one whole number per pixel: grey of 8 or 16 bits, or a palette",
            fix="save the number of each class instead of its colour, as a grey PNG",
        )
    check_pixel_count(image, name)
    return _whole(np.asarray(ImageOps.exif_transpose(image)), name)


def _name(source: object) -> str:
    return f"the image of {len(source)} bytes" if isinstance(source, bytes) else str(source)


def _decoded(source: object, name: str) -> Image.Image:
    """Return the image of a file or of bytes, decoded as it is stored. Raises ImageError."""
    content = source if isinstance(source, bytes) else _content(source)
    with decoding(name):
        with Image.open(BytesIO(content), formats=formats()) as image:
            check_pixel_count(image, name)
            if image.format == "PNG":
                image.verify()  # reads every checksum, and leaves the image unusable
        with Image.open(BytesIO(content), formats=formats()) as image:
            image.load()
            return image


def _content(source: object) -> bytes:
    if not is_path(source):
        raise ImageError(
            found=f"a label map given as {type(source).__name__}",
            expected="a path, bytes, a PIL image, or a NumPy array",
        )
    path = Path(os.fsdecode(source))
    try:
        with open_regular(path) as stream:
            return stream.read()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ImageError(found=f"{path} cannot be read: {why}", expected="a label map") from error


def _whole(array: NDArray[np.generic], name: str) -> IndexMap:
    if array.ndim != _MAP_RANK or array.dtype.kind not in "bui" or not array.size:
        raise ImageError(
            found=f"{name} is {array.dtype} of shape {list(array.shape)}", expected="whole numbers [height, width]"
        )
    limits = np.iinfo(np.int32)
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        raise ImageError(
            found=f"{name} has numbers from {low} to {high}", expected=f"{limits.min} to {limits.max}, those of 32 bits"
        )
    return array.astype(np.int32)


def _by_colour(pixels: Pixels, colours: Colours, name: str) -> IndexMap:
    """Return the index of each pixel's colour. Raises ImageError for a colour of no class, with the nearest one."""
    coded = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
    codes = np.array([(red << 16) + (green << 8) + blue for red, green, blue in colours.values()], dtype=np.int32)
    order = np.argsort(codes).astype(np.int32)
    places = np.searchsorted(codes[order], coded).clip(max=len(codes) - 1)
    strange = codes[order][places] != coded
    if strange.any():
        first = tuple(int(level) for level in pixels[strange][0])
        nearest, colour = min(
            colours.items(), key=lambda each: sum((one - other) ** 2 for one, other in zip(each[1], first, strict=True))
        )
        raise ImageError(
            found=f"{name} has the colour {first} in {int((coded == coded[strange][0]).sum())} pixels",
            expected=f"the {len(codes)} colours of the classes, exactly; the nearest is {colour}, {nearest!r}",
            fix="save the map as PNG, without smoothing; JPEG blurs colours",
        )
    return order[places]
