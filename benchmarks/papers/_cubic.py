"""The resize of SinGAN's release, and of ConSinGAN's, as they compute it: in numpy, in float64."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def resize(image: Tensor, by: float) -> Tensor:
    """Cut off to 8 bits, then Keys' cubic kernel along the rows and along the columns, in numpy."""
    levels = ((image[0].detach() + 1) / 2).clamp(0, 1).mul(255).numpy().astype(np.uint8)
    values = levels.transpose(1, 2, 0).astype(np.float64)
    for axis in range(2):
        values = np.moveaxis(resize_rows(np.moveaxis(values, axis, 0), by), 0, axis)
    resized = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)) / 255)[None].float()
    return ((resized - 0.5) * 2).clamp(-1, 1)


def resize_rows(rows: Array, by: float) -> Array:
    """Mirrored over the last row; what lies before the first one does not count."""
    stretch = max(1 / by, 1.0)
    wanted = np.arange(1, math.ceil(len(rows) * by) + 1) / by + 0.5 * (1 - 1 / by)
    taps = np.floor(wanted - 2 * stretch)[:, None] + np.arange(math.ceil(4 * stretch) + 2)
    weights = np.where(taps < 1, 0.0, cubic((wanted[:, None] - taps) / stretch))
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.where(taps > len(rows), 2 * len(rows) - taps, taps - 1).clip(0, len(rows) - 1).astype(int)
    return (weights[:, :, None, None] * rows[places]).sum(axis=1)


def cubic(x: Array) -> Array:
    """Return the kernel, of width 4 (a = -0.5)."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
