"""The sampling grids of the runtime (`i2i_runtime.sampling_grid`), which training and bundles share, as tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

import i2i_runtime
from i2i_runtime import Shifts


def homography_grid(
    source: tuple[int, int], result: tuple[int, int], shifts: Shifts
) -> Float[Tensor, "1 height width 2"]:
    """Return the grid of the training; without shifts a resize that keeps the end points."""
    return torch.from_numpy(i2i_runtime.homography_grid(source, result, shifts))[None]


def resize_grid(source: tuple[int, int], result: tuple[int, int]) -> Float[Tensor, "1 height width 2"]:
    """Return the grid of a plain retarget: where bilinear interpolation with half-pixel centres looks."""
    return torch.from_numpy(i2i_runtime.resize_grid(source, result))[None]
