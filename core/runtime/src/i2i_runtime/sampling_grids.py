"""Where in a picture each pixel of the result looks: a plain resize, or a mild homography (InGAN, section 3.3).

Coordinates (x, y) are in [-1, 1] of the picture, whose first and last pixel centres are -1 and 1. The homography maps
the result's corners so that its left border is shifted by r0 and its right border by r1 (shares of the width) between
top and bottom; beyond its left and right borders the picture is mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import OptionError

_STEEPEST = 1.0
"""|r0 + r1| at which the homography's denominator vanishes inside the picture."""


@dataclass(frozen=True, slots=True)
class Shifts:
    """r0 and r1; (0, 0) is a plain resize."""

    left: float = 0.0
    right: float = 0.0

    def check(self, width: int) -> None:
        """Raises OptionError for a degenerate homography, or one that leaves the mirrored picture of this width."""
        if abs(self.left + self.right) >= _STEEPEST:
            raise OptionError(
                found=f"shifts of {self.left:g} and {self.right:g}, whose sum is {self.left + self.right:g}",
                expected="a sum between -1 and 1: at 1 the picture folds over, as its horizon lies inside it",
                fix="make one of them smaller, or of the other sign",
            )
        if max(self._mirrored(width)) >= width:
            raise OptionError(
                found=f"shifts of {self.left:g} and {self.right:g} for a picture of {width} pixels in width",
                expected="shifts below the width of the picture, which is mirrored once",
                fix="use smaller shifts",
            )

    def padded_width(self, width: int) -> int:
        """Pixels that a picture and its shifted borders take: what a scale of 1 means."""
        return sum(self._framed(width)) + width

    def is_plain(self) -> bool:
        """Whether nothing is shifted."""
        return self.left == 0 and self.right == 0

    def _mirrored(self, width: int) -> tuple[int, int]:
        """Columns that the network mirrors on the left and on the right."""
        return abs(math.ceil(width * self.left)), abs(math.ceil(-width * self.right))

    def _framed(self, width: int) -> tuple[int, int]:
        """Columns beside the picture in the frame of the result; on the right it may be one less than mirrored."""
        return abs(math.ceil(width * self.left)), abs(math.ceil(width * self.right))

    def looked_at(self, height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For a result of that size: (x', y') of each pixel in [-1, 1] of the padded picture, each [height, width]."""
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        total, difference = (self.left + self.right) / 2, (self.right - self.left) / 2
        denominator = total * (x - y) + 1
        return (x + difference * y + total) / denominator, y / denominator

    def columns(self, x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
        """Padded coordinates as columns of the picture, mirrored beyond its borders."""
        left, right = self._mirrored(width)
        column = np.abs(_pixels(x, width + left + right) - left)
        last = width - 1
        return np.where(column > last, 2 * last - column, column)

    def covered(self, x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
        """How much of each pixel lies in the picture and not beside it: 1, 0, and between them at the borders."""
        left, right = self._framed(width)
        column = _pixels(x, width + left + right) - left
        return np.clip(np.minimum(column + 1, width - column), 0, 1)


def sampling_grid(
    source: tuple[int, int], result: tuple[int, int], shifts: Shifts
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The grid [height, width, 2] of a result, and its coverage [1, height, width]; sizes are (height, width).

    Without shifts: where a bilinear resize (half-pixel centres) looks, and all is covered.
    """
    (source_height, source_width), (height, width) = source, result
    if shifts.is_plain():
        columns, rows = np.meshgrid(_resized(width, source_width), _resized(height, source_height))
        coverage = np.ones(result)
    else:
        shifts.check(source_width)
        x, y = shifts.looked_at(height, width)
        columns, rows = shifts.columns(x, source_width), _pixels(y, source_height)
        coverage = shifts.covered(x, source_width)
    grid = np.stack([_normalised(columns, source_width), _normalised(rows, source_height)], axis=-1)
    return grid.astype(np.float32), coverage.astype(np.float32)[None]


def _resized(length: int, source: int) -> NDArray[np.float64]:
    centres: NDArray[np.float64] = np.arange(length, dtype=np.float64) + 0.5
    return np.clip(centres * (source / length) - 0.5, 0.0, source - 1.0)


def _pixels(coordinate: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """From [-1, 1] to 0 ... length - 1; what lies beyond is at the border."""
    return np.clip((coordinate + 1) / 2 * (length - 1), 0.0, length - 1.0)


def _normalised(pixel: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return 2 * pixel / max(length - 1, 1) - 1
