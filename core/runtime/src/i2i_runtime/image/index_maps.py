"""Images whose numbers are names: label maps and instance maps, read as they are stored and never converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from i2i_runtime.errors import ImageError
from i2i_runtime.image import pixels
from i2i_runtime.image.decoding import SourceReader
from i2i_runtime.image.pixels import RGB, Pixels
from i2i_runtime.image.reading import ImageSource

IndexMap: TypeAlias = NDArray[np.int32]
"""Whole numbers [h, w]."""

_WHOLE = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})
"""Pillow's modes of one whole number per pixel; of an image with a palette it is the index."""
_COLOURED = frozenset({"P", "PA", "RGB", "RGBA"})
"""Pillow's modes whose pixels are colours, the palette's among them."""
_BLURRED = "JPEG"
"""the format that changes numbers while it saves them"""

_MAP_RANK = 2
"""height, width"""


class ClassColour(NamedTuple):
    """The number that stands for a class in index maps, its name, and its colour of three levels in 0..255."""

    number: int
    name: str
    colour: tuple[int, int, int]


def read_index_map(source: ImageSource, classes: Sequence[ClassColour] = ()) -> IndexMap:
    """Return the numbers [h, w] of an image of one channel, upright: levels, or indices into its palette.

    With `classes`, images in colours and those with a palette are read by colour instead, as a palette may have any
    order: the number of a pixel is that of the class whose colour is stored there, exactly. No colour profile is
    applied, and transparency is not looked at. Grey images and arrays [h, w] are numbers all the same.

    Raises ImageError when it is missing, damaged, empty, larger than `MAX_PIXELS`, has fractions, numbers that 32 bits
    do not hold, or colours that nobody named, and for a grey JPEG, whose numbers are not those that were saved.
    """
    return _Reader(classes).read(source)


def resized_map(numbers: IndexMap, height: int, width: int) -> IndexMap:
    """Return a map [height, width]: numbers are names and never mixed, the nearest one is taken."""
    return np.asarray(Image.fromarray(numbers).resize((width, height), Image.Resampling.NEAREST))


@dataclass(frozen=True, slots=True)
class _Reader(SourceReader[IndexMap]):
    classes: Sequence[ClassColour]

    def of_array(self, array: NDArray[np.generic], name: str) -> IndexMap:
        if self.classes and array.ndim > _MAP_RANK and array.shape[-1] > 1:
            return _by_colour(pixels.of_count(pixels.of_array(array, name), RGB, name), self.classes, name)
        return _whole(array, name)

    def of_npy(self, stream: IO[bytes], size: int, name: str) -> IndexMap:
        return self.of_array(pixels.load_npy(stream, size, name), name)

    def of_image(self, image: Image.Image, name: str) -> IndexMap:
        if self.classes and image.mode in _COLOURED:
            return _by_colour(np.asarray(ImageOps.exif_transpose(image).convert("RGB")), self.classes, name)
        if image.mode not in _WHOLE:
            raise ImageError(
                found=f"{name} is an image of mode {image.mode}",
                expected="one whole number per pixel: grey of 8 or 16 bits, or a palette",
                fix="save the number of each class or instance instead of its colour, as a grey PNG",
            )
        if image.format == _BLURRED:
            raise ImageError(
                found=f"{name} is a JPEG, whose numbers are not those that were saved",
                expected="a format without loss",
                fix="save the map as a grey PNG, anew from where it came from",
            )
        return _whole(np.asarray(ImageOps.exif_transpose(image)), name)


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


def _by_colour(levels: Pixels, classes: Sequence[ClassColour], name: str) -> IndexMap:
    """Return the number of each pixel's class. Raises ImageError for a colour of none, with the nearest one."""
    coded = levels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
    codes = np.array([(red << 16) + (green << 8) + blue for _, _, (red, green, blue) in classes], dtype=np.int32)
    order = np.argsort(codes)
    places = np.searchsorted(codes[order], coded).clip(max=len(codes) - 1)
    strange = codes[order][places] != coded
    if strange.any():
        pixel = tuple(int(level) for level in levels[strange][0])
        nearest = min(classes, key=lambda each: _distance(each.colour, pixel))
        raise ImageError(
            found=f"{name} has the colour {pixel} in {int((coded == coded[strange][0]).sum())} pixels",
            expected=f"the {len(codes)} colours of the classes, exactly; "
            f"the nearest is {nearest.colour}, {nearest.name!r}",
            fix="save the map as PNG, without smoothing; JPEG blurs colours",
        )
    return np.array([each.number for each in classes], dtype=np.int32)[order][places]


def _distance(one: Sequence[int], other: Sequence[int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
