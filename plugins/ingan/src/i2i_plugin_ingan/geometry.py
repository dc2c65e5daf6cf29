"""Where in a picture each pixel of a result looks: the paper's homography (section 3.3) and a plain resize.

This is the trainer's side; in bundles the runtime makes the grids (`i2i_runtime.sampling_grids`). Grids hold (x, y) in
[-1, 1], where -1 and 1 are the centres of the first and last pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Shifts(NamedTuple):
    """r0 and r1: how far top and bottom are shifted against each other at the left and the right border."""

    left: float = 0.0
    right: float = 0.0

    def reversed(self) -> Shifts:
        """What the paper takes for the way back. Only roughly the inverse."""
        return Shifts(-self.left, -self.right)

    def columns(self, width: int) -> tuple[int, int]:
        """How many columns are mirrored on the left and on the right of a picture of that width."""
        return abs(math.ceil(width * self.left)), abs(math.ceil(-width * self.right))


def homography(shifts: Shifts) -> Float[Tensor, "3 3"]:
    """From coordinates of the result to those of the picture.

    The solution, in closed form, for the correspondences (-1, -1) to (-1 + r0, -1), (1, 1) to (1 + r1, 1), and (-1, 0)
    and (1, 0) to themselves. With |r0 + r1| >= 1 the third coordinate vanishes inside the picture.
    """
    left, right = shifts
    total, difference = (left + right) / 2, (right - left) / 2
    return torch.tensor([[1.0, difference, total], [0.0, 1.0, 0.0], [total, -total, 1.0]], dtype=torch.float64)


def projected(height: int, width: int, shifts: Shifts) -> Float[Tensor, "height width 2"]:
    """Coordinates in the mirrored picture (`Shifts.columns`) for a result of that size, end points included."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=torch.float64),
        torch.linspace(-1, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ homography(shifts).T
    return points[..., :2] / points[..., 2:]


def folded(grid: Float[Tensor, "height width 2"], width: int, shifts: Shifts) -> Float[Tensor, "height width 2"]:
    """Coordinates in the mirrored picture as coordinates in the picture itself, which is `width` pixels wide.

    Between two columns everything is linear, and the mirror lies on a column: sampling the picture at the folded
    coordinates gives what sampling its mirrored copy gives, which nobody has to make.
    """
    left, right = shifts.columns(width)
    last = width - 1
    column = ((grid[..., 0] + 1) / 2 * (last + left + right)).clamp(0, last + left + right)
    column = (column - left).abs()
    column = torch.where(column > last, 2 * last - column, column)
    return torch.stack([2 * column / last - 1, grid[..., 1].clamp(-1, 1)], dim=-1)


def homography_grid(
    source: tuple[int, int], result: tuple[int, int], shifts: Shifts
) -> Float[Tensor, "1 height width 2"]:
    """The grid of the training, for sizes (height, width); without shifts a resize that keeps the end points."""
    height, width = result
    return folded(projected(height, width, shifts), source[1], shifts)[None].float()


def resize_grid(source: tuple[int, int], result: tuple[int, int]) -> Float[Tensor, "1 height width 2"]:
    """The grid of a plain retarget: where bilinear interpolation with half-pixel centres looks."""
    y, x = (
        (((torch.arange(length, dtype=torch.float64) + 0.5) * (of / length) - 0.5).clamp(0, of - 1)) / (of - 1) * 2 - 1
        for length, of in zip(result, source, strict=True)
    )
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], dim=-1)[None].float()
