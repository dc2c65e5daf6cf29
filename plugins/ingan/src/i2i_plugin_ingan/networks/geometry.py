"""The sampling grids of the runtime (`i2i_runtime.sampling_grid`), which training and bundles share, as tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from i2i_runtime import Shifts
from i2i_runtime.image import sampling_grids
from i2i_runtime.image.sampling_grids import Size


def homography_grid(source: Size, result: Size, shifts: Shifts) -> Float[Tensor, "1 height width 2"]:
    """Return the grid of the training; without shifts a resize that keeps the end points."""
    return torch.from_numpy(sampling_grids.homography_grid(source, result, shifts))[None]


def resize_grid(source: Size, result: Size) -> Float[Tensor, "1 height width 2"]:
    """Return the grid of a plain retarget: where bilinear interpolation with half-pixel centres looks."""
    return torch.from_numpy(sampling_grids.resize_grid(source, result))[None]
