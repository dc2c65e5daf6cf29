"""From one scale to the next: how images and noise maps are brought to other sizes.

Sizes are computed as tensors, because an exported graph computes them anew from the sizes of each call.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from i2i_toolkit import MapSide, MapSize, resample

SIDES = (2, 3)
"""the axes of height and width"""


def padded(x: Float[Tensor, "b c y x"], border: int) -> Float[Tensor, "b c h w"]:
    """In a border of zeros."""
    return F.pad(x, (border, border, border, border))


def enlarged(image: Float[Tensor, "b c y x"], size: MapSize, factor: float, border: int) -> Float[Tensor, "b c h w"]:
    """Return an image enlarged by `factor`, cut to `size`, in a border of zeros.

    Where the enlarged image is smaller than `size`, which can happen when the sizes of a sample are rounded, it is
    stretched together with its border.
    """
    result = resample(image, size, (factor, factor))
    lengths: list[Tensor] = []
    for axis, side, wanted in zip(SIDES, image.shape[-2:], size, strict=True):
        available = torch.minimum((_number(side, image) * factor).ceil(), _number(wanted, image))
        result = _emptied(result, axis, available)
        lengths.append(available + 2 * border)
    result = padded(result, border)
    for axis, length in zip(SIDES, lengths, strict=True):
        result = _along(result, axis, result.shape[axis], length)
    return result


def stretched(x: Float[Tensor, "b c y x"], size: MapSize) -> Float[Tensor, "b c h w"]:
    """Resized along straight lines, the corners staying corners; unchanged where it has that size."""
    for axis, count in zip(SIDES, size, strict=True):
        x = _along(x, axis, count, _number(x.shape[axis], x))
    return x


def _number(length: MapSide, like: Tensor) -> Float64[Tensor, ""]:
    return torch.full((), length, dtype=torch.float64, device=like.device)


def _emptied(x: Float[Tensor, "b c y x"], axis: int, length: Float64[Tensor, ""]) -> Float[Tensor, "b c y x"]:
    """Zeros behind the first `length` entries along an axis."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    inside = torch.arange(x.shape[axis], dtype=torch.float64, device=x.device) < length
    return torch.where(inside.reshape(shape), x, 0.0)


def _along(
    x: Float[Tensor, "b c y x"], axis: int, count: MapSide, length: Float64[Tensor, ""]
) -> Float[Tensor, "b c h w"]:
    """`count` values spread evenly over the first `length` entries along an axis, between two entries in proportion."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    place = torch.arange(count, dtype=torch.float64, device=x.device) * ((length - 1) / _number(count - 1, x))
    before = place.floor()
    after = torch.minimum(before + 1, length - 1)
    share = (place - before).to(x.dtype).reshape(shape)
    return x.index_select(axis, before.long()) * (1 - share) + x.index_select(axis, after.long()) * share
