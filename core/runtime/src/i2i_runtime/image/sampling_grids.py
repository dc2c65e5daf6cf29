"""Where in an image each pixel of the result looks: a plain resize, or a mild homography (InGAN, section 3.3).

Points are (x, y) in [-1, 1] of the image, whose first and last pixel centres are -1 and 1; sizes are (height, width).
The homography shifts the left border by r0 and the right border by r1 (shares of the width) between top and bottom;
beyond its left and right borders the image is mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import OptionError

SamplingGrid = NDArray[np.float64]
"""[height, width, 2]: (x, y) of each pixel of a result"""

Size = tuple[int, int]

_STEEPEST = 1.0
"""|r0 + r1| at which the homography's denominator vanishes inside the image."""


@dataclass(frozen=True, slots=True)
class Shifts:
    """r0 and r1; (0, 0) is a plain resize."""

    left: float = 0.0
    right: float = 0.0

    def check(self, width: int) -> None:
        """Raise OptionError for a degenerate homography, or one that leaves the mirrored image of this width."""
        if abs(self.left + self.right) >= _STEEPEST:
            raise OptionError(
                found=f"shifts of {self.left:g} and {self.right:g}, whose sum is {self.left + self.right:g}",
                expected="a sum between -1 and 1: at 1 the image folds over, as its horizon lies inside it",
                fix="make one of them smaller, or of the other sign",
            )
        if max(self.mirrored(width)) >= width:
            raise OptionError(
                found=f"shifts of {self.left:g} and {self.right:g} for an image of {width} pixels in width",
                expected="shifts below the width of the image, which is mirrored once",
                fix="use smaller shifts",
            )

    def padded_width(self, width: int) -> int:
        """Pixels that an image and its shifted borders take: what a scale of 1 means."""
        return sum(self.framed(width)) + width

    def is_plain(self) -> bool:
        """Whether nothing is shifted."""
        return self.left == 0 and self.right == 0

    def reversed(self) -> Shifts:
        """Return what the paper takes for the way back. Only roughly the inverse."""
        return Shifts(-self.left, -self.right)

    def mirrored(self, width: int) -> tuple[int, int]:
        """Columns of an image of that width that are mirrored on the left and on the right."""
        return abs(math.ceil(width * self.left)), abs(math.ceil(-width * self.right))

    def framed(self, width: int) -> tuple[int, int]:
        """Columns beside the image in the frame of the result; on the right it may be one less than mirrored."""
        return abs(math.ceil(width * self.left)), abs(math.ceil(width * self.right))


def sampling_grid(source: Size, result: Size, shifts: Shifts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the grid [height, width, 2] of a result, and its coverage [1, height, width].

    Without shifts it is that of a plain resize, and all is covered. Raises OptionError as `Shifts.check` does.
    """
    if shifts.is_plain():
        return resize_grid(source, result), np.ones((1, *result), dtype=np.float32)
    shifts.check(source[1])
    coverage = covered(homography_points(result, shifts), source[1], shifts)
    return homography_grid(source, result, shifts), coverage.astype(np.float32)[None]


def resize_grid(source: Size, result: Size) -> NDArray[np.float32]:
    """Where a bilinear resize with half-pixel centres looks."""
    rows, columns = (
        _normalised(np.clip((np.arange(length, dtype=np.float64) + 0.5) * (of / length) - 0.5, 0.0, of - 1.0), of)
        for length, of in zip(result, source, strict=True)
    )
    return np.stack(np.meshgrid(columns, rows), axis=-1).astype(np.float32)


def homography_grid(source: Size, result: Size, shifts: Shifts) -> NDArray[np.float32]:
    """Where the homography looks; without shifts it is a resize that keeps the end points."""
    return fold_points(homography_points(result, shifts), source[1], shifts).astype(np.float32)


def homography_matrix(shifts: Shifts) -> NDArray[np.float64]:
    """[3, 3], from points of the result to those of the mirrored image.

    The solution, in closed form, for the correspondences (-1, -1) to (-1 + r0, -1), (1, 1) to (1 + r1, 1), and (-1, 0)
    and (1, 0) to themselves. With |r0 + r1| >= 1 the third coordinate vanishes inside the image.
    """
    total, difference = (shifts.left + shifts.right) / 2, (shifts.right - shifts.left) / 2
    return np.array([[1.0, difference, total], [0.0, 1.0, 0.0], [total, -total, 1.0]])


def homography_points(result: Size, shifts: Shifts) -> SamplingGrid:
    """Return the points of a result, end points included, as points of the mirrored image (`Shifts.mirrored`)."""
    height, width = result
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    moved = np.stack([x, y, np.ones_like(x)], axis=-1) @ homography_matrix(shifts).T
    return moved[..., :2] / moved[..., 2:]


def fold_points(points: SamplingGrid, width: int, shifts: Shifts) -> SamplingGrid:
    """Points of the mirrored image as points of the image itself, which is `width` pixels wide.

    Between two columns everything is linear, and the mirror lies on a column: sampling the image at the folded points
    gives what sampling its mirrored copy gives, which nobody has to make.
    """
    left, right = shifts.mirrored(width)
    last = width - 1
    column = np.abs(_pixels(points[..., 0], width + left + right) - left)
    column = np.where(column > last, 2 * last - column, column)
    return np.stack([_normalised(column, width), np.clip(points[..., 1], -1.0, 1.0)], axis=-1)


def covered(points: SamplingGrid, width: int, shifts: Shifts) -> NDArray[np.float64]:
    """[height, width]: 1 where a point lies in the image, 0 beside it, and between them at its borders."""
    left, right = shifts.framed(width)
    column = _pixels(points[..., 0], width + left + right) - left
    return np.clip(np.minimum(column + 1, width - column), 0.0, 1.0)


def _pixels(coordinate: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """From [-1, 1] to 0 ... length - 1; what lies beyond is at the border."""
    return np.clip((coordinate + 1) / 2 * (length - 1), 0.0, length - 1.0)


def _normalised(pixel: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return 2 * pixel / max(length - 1, 1) - 1
