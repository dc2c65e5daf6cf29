"""Bicubic enlargement of feature maps, corner to corner, as two matrix products.

The same numbers as torch's `interpolate(mode="bicubic", align_corners=True)`, in half its time, backwards too; and an
exported graph keeps free sizes.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from i2i_toolkit import MapSide

SHARPNESS = -0.75
"""Parameter of Keys' cubic convolution kernel; torch's."""

_REACH = 2
"""Where the kernel ends."""


def enlarged(x: Float[Tensor, "b c h w"], height: MapSide, width: MapSide) -> Float[Tensor, "b c y x"]:
    """Return the maps at another size, smaller ones included; the middles of the corner pixels stay where they are.

    In float32 under autocast.
    """
    if torch.is_autocast_enabled(x.device.type):
        # Weights of 8 bits would not add up to 1, and leave a pattern.
        with torch.autocast(x.device.type, enabled=False):
            return enlarged(x.float(), height, width)
    # A training asks for the same few matrices at every step; a trace must not keep what it made.
    matrix = cubic_matrix if torch.compiler.is_compiling() else _kept_matrix
    rows, columns = (matrix(*lengths, x.device) for lengths in zip(x.shape[-2:], (height, width), strict=True))
    return rows.to(x.dtype) @ (x @ columns.to(x.dtype).mT)


def cubic_matrix(length: MapSide, samples: MapSide, device: torch.device) -> Float[Tensor, "samples length"]:
    """Return the matrix that takes a line of `length` values to one of `samples`, beyond its ends the end values."""
    step = (length - 1) / max(samples - 1, 1)
    wanted = torch.arange(samples, dtype=torch.float32, device=device)[:, None] * step
    # One value more at either end, which is that of the end.
    weights = _kernel((wanted - torch.arange(-1, length + 1, dtype=torch.float32, device=device)).abs())
    places = torch.arange(length, device=device)
    ends = weights[:, :1] * (places == 0) + weights[:, -1:] * (places == length - 1)
    return weights[:, 1:-1] + ends


@lru_cache(maxsize=256)
def _kept_matrix(length: MapSide, samples: MapSide, device: torch.device) -> Float[Tensor, "samples length"]:
    return cubic_matrix(length, samples, device)


def _kernel(x: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
    """Keys' cubic convolution kernel at distances from 0."""
    near = ((SHARPNESS + 2) * x - (SHARPNESS + 3)) * x * x + 1
    far = ((SHARPNESS * x - 5 * SHARPNESS) * x + 8 * SHARPNESS) * x - 4 * SHARPNESS
    return torch.where(x <= 1, near, torch.where(x < _REACH, far, 0.0))
