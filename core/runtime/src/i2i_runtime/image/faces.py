"""A face is found by its landmarks and cut out upright, framed as CelebA-HQ is.

The square is that of Karras et al., "Progressive Growing of GANs", ICLR 2018 (arXiv:1710.10196), appendix C: its
centre, side and axis follow from the eyes and the mouth alone. Coordinates are column and row in pixels, from the upper
left corner of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field, NonNegativeInt

from i2i_runtime.errors import ImageError
from i2i_runtime.image import fitting
from i2i_runtime.image.pixels import RGB, Pixels, of_count, of_image
from i2i_runtime.image.resizing import Resizing
from i2i_runtime.records import Name, Range, Record

ImagePoints = NDArray[np.float64]
"""[..., 2]: column, row"""


class Landmarks(Record):
    """A graph that finds the parts of a face: image -> a heat map for each landmark, [n, k, y, x]."""

    graph: Name
    input: Name
    output: Name
    left_eye: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    """indices of the landmarks whose mean it is; the eye on the left of the image"""
    right_eye: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    mouth: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


Locate = Callable[[Landmarks, NDArray[np.float32]], NDArray[np.generic]]
"""Runs the graph of landmarks: [1, channels, height, width] -> heat maps [1, k, y, x]"""

FAINTEST = 0.1
"""Heat below it is nothing."""

EYES, EYES_TO_MOUTH, RISE = 4.0, 3.6, 0.1
"""Side of the square in distances between the eyes, and from eyes to mouth; how far its centre lies below the eyes."""

_OVERSAMPLED = 2
"""Pixels of what is cut out for each of those that remain."""

_FADE, _BLUR = 0.15, 0.03
"""Beyond the border the mirrored image fades into a blurred one: over what share of the side, and how blurred."""


@dataclass(frozen=True, slots=True)
class Square:
    """What is cut out."""

    centre: ImagePoints
    half: ImagePoints
    """from the centre to the middle of its right side"""

    @property
    def side(self) -> float:
        """Its length, pixels."""
        return 2 * math.hypot(*self.half)

    @property
    def down(self) -> ImagePoints:
        """From the centre to the middle of its lower side."""
        return np.array([-self.half[1], self.half[0]])

    @property
    def corner(self) -> ImagePoints:
        """The upper left one."""
        return self.centre - self.half - self.down

    @property
    def corners(self) -> ImagePoints:
        """All four, [4, 2]."""
        return self.corner + 2 * np.array([(a * self.half + b * self.down) for a in (0, 1) for b in (0, 1)])

    def scaled(self, factor: float, shift: ImagePoints) -> Square:
        """Return the same square in an image that is scaled, and whose corner is then moved to `shift`."""
        return Square(self.centre * factor - shift, self.half * factor)


def heatmap_landmarks(heat: NDArray[np.generic]) -> ImagePoints:
    """Return the places [k, 2] of heat maps [k, y, x], in their pixels.

    The middle of the hottest pixel, a quarter of a pixel towards its hotter neighbours.
    """
    count, height, width = heat.shape
    heat = heat.astype(np.float64)
    row, column = np.divmod(heat.reshape(count, -1).argmax(1), width)
    inside = (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    r, c, n = np.clip(row, 1, height - 2), np.clip(column, 1, width - 2), np.arange(count)
    across = np.sign(heat[n, r, c + 1] - heat[n, r, c - 1])
    along = np.sign(heat[n, r + 1, c] - heat[n, r - 1, c])
    slopes = np.where(inside[:, None], np.stack([across, along], 1), 0.0)
    return np.stack([column, row], 1) + 0.5 + 0.25 * slopes


def square_of(points: ImagePoints, which: Landmarks) -> Square | None:
    """Return the square around a face; None where eyes and mouth fall together."""
    left, right, mouth = (points[list(part)].mean(0) for part in (which.left_eye, which.right_eye, which.mouth))
    eyes, across = (left + right) / 2, right - left
    rise = eyes - mouth
    axis = across - np.array([rise[1], -rise[0]])
    length = math.hypot(*axis)
    if length == 0:
        return None
    side = max(EYES * math.hypot(*across), EYES_TO_MOUTH * math.hypot(*rise))
    return Square(eyes - RISE * rise, axis / length * side / 2)


def cut_face(pixels: Pixels, how: Resizing, value_range: Range, which: Landmarks, locate: Locate) -> Pixels:
    """Return the face of a grey or RGB image at the own size; landmarks are looked for in a tensor in `value_range`.

    Raises ImageError when there is none.
    """
    own_height, own_width, channels = pixels.shape
    fed = fitting.centred(pixels, how)
    heat = locate(which, fitting.image_to_tensor(fed.pixels, value_range)[None])[0]
    needed = heat[[*which.left_eye, *which.right_eye, *which.mouth]]
    shape = np.array(fed.pixels.shape[1::-1]) / np.array(heat.shape[:0:-1])
    places = (heatmap_landmarks(heat) * shape - (fed.left, fed.top)) * (own_width, own_height) / (fed.width, fed.height)
    square = square_of(places, which)
    if square is None or not np.median(needed.max((1, 2))) >= FAINTEST:  # also where heat is not a number
        raise ImageError(
            found=f"no face was found in an image of {own_width}x{own_height} pixels",
            expected="eyes and mouth that can be seen",
            fix="fit='resize' takes the image as it is",
        )
    image = Image.fromarray(of_count(pixels, RGB, "the image"))
    return of_image(cut_square(image, square, how.size.width, how.size.height), channels)


def cut_square(image: Image.Image, square: Square, width: int, height: int) -> Image.Image:
    """Return the square as an image of this size; what lies beyond the border is mirrored and fades into a blur."""
    scale = min(1.0, _OVERSAMPLED * max(width, height) / square.side)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale < 1:
        image = image.resize(size, Image.Resampling.LANCZOS)
    around, corner = _surroundings(image, square.scaled(scale, np.zeros(2)))
    inside = square.scaled(scale, corner)
    pixels = max(1, round(inside.side))
    steps = np.stack([2 * inside.half, 2 * inside.down], 1) / pixels
    (a, b), (d, e) = steps.tolist()
    c, f = inside.corner.tolist()
    cut = around.transform((pixels, pixels), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC)
    return cut.resize((width, height), Image.Resampling.LANCZOS)


def _surroundings(image: Image.Image, square: Square) -> tuple[Image.Image, ImagePoints]:
    """Return the upright box around the square, no larger, and its upper left corner in the image."""
    size = np.array(image.size)
    low, high = np.floor(square.corners.min(0)).astype(int), np.ceil(square.corners.max(0)).astype(int)
    first, last = np.clip(low, 0, size - 1), np.clip(high, 1, size)
    last = np.maximum(last, first + 1)
    part = np.asarray(image.crop((*first.tolist(), *last.tolist())))
    before, after = np.maximum(first - low, 0), np.maximum(high - last, 0)
    if not before.any() and not after.any():
        return Image.fromarray(part), first.astype(np.float64)
    amounts = [(int(before[axis]), int(after[axis])) for axis in (1, 0)]
    padded = fitting.pad(part, *amounts)
    blurred = np.asarray(Image.fromarray(padded).filter(ImageFilter.GaussianBlur(_BLUR * square.side)))
    down, across = (
        np.pad(np.zeros(length), amount, mode="linear_ramp", end_values=amount)  # how far outside, pixels
        for length, amount in zip(part.shape[:2], amounts, strict=True)
    )
    weight = np.clip(np.maximum(down[:, None], across) / (_FADE * square.side), 0, 1)[:, :, None]
    mixed = np.rint(padded + weight * (blurred.astype(np.float64) - padded)).astype(np.uint8)
    return Image.fromarray(mixed), (first - before).astype(np.float64)
