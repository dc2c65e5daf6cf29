"""Instance norm, once for all papers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5
"""Added to every variance (torch's default, and what the releases have)."""


def widened(x: Tensor) -> Tensor:
    """`x` in float32 at least: sums over a whole feature map, and coordinates, do not fit half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def instance_norm(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    eps: float = EPSILON,
) -> Float[Tensor, "b c h w"]:
    """Zero mean and unit (biased) variance per sample and channel, then scale and offset; statistics in fp32 at least.

    Where nothing learns, mean and variance come from means of rows and the means of these. onnxruntime's own norm sums
    over a whole map one by one, and is off by 1e-4 at four megapixels, after some twenty norms by more than a step of
    8 bits. And what is left of a constant map, as a blank image gives, is the rounding error of its mean, 300 times
    as large after every norm. Training does without: it would take longer, and torch sums in a better order.
    """
    wide = widened(x)
    if learning():
        return F.instance_norm(wide, weight=weight, bias=bias, eps=eps).to(x.dtype)
    nearly = wide - _mean_of_rows(wide)
    centred = nearly - _mean_of_rows(nearly)
    scale = torch.rsqrt(_mean_square(centred) + eps)
    if weight is not None:
        scale = scale * weight[:, None, None]
    normalised = centred * scale
    return (normalised if bias is None else normalised + bias[:, None, None]).to(x.dtype)


def adaptive_instance_norm(
    x: Float[Tensor, "b c h w"],
    scale: Float[Tensor, "#b c"],
    shift: Float[Tensor, "#b c"],
) -> Float[Tensor, "b c h w"]:
    """Zero mean and unit (biased) variance per sample and channel, then a scale and a shift for each (AdaIN).

    Huang and Belongie 2017; statistics in fp32 at least. Papers whose styles give scale - 1 add the 1 themselves.
    """
    if not learning():
        return (instance_norm(widened(x)) * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)
    batch, channels, *sides = x.shape
    # Every channel of every sample is a channel of its own to this one pass over the map.
    flat = x.reshape(1, batch * channels, *sides)
    wide = torch.promote_types(scale.dtype, torch.float32)
    factors, offsets = (values.expand(batch, channels).reshape(-1).to(wide) for values in (scale, shift))
    return F.batch_norm(flat, None, None, factors, offsets, training=True, eps=EPSILON).view_as(x)


def learning() -> bool:
    """Whether gradients are recorded, and no graph is exported."""
    return torch.is_grad_enabled() and not torch.compiler.is_exporting()


def map_mean(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """Return the mean of every map, for norms of other kinds.

    Where nothing learns, that of a constant map is its value.
    """
    if learning():
        return x.mean((2, 3), keepdim=True)
    mean = _mean_of_rows(x)
    return mean + _mean_of_rows(x - mean)


def map_sum(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """Return the sum of every map, for norms of other kinds; where nothing learns, of its rows and then of these."""
    return x.sum((2, 3), keepdim=True) if learning() else x.sum(3, keepdim=True).sum(2, keepdim=True)


def _mean_square(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """By rows; their lengths are one operator, which keeps no map of squares."""
    return torch.linalg.vector_norm(x, dim=3, keepdim=True).square().mean(2, keepdim=True) / x.shape[3]


def _mean_of_rows(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


class InstanceNorm(nn.Module):
    """Instance norm in which nothing is learned; it does not tell training from evaluation mode."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; see `instance_norm`."""
        return instance_norm(x)


class AdaINResidualBlock(nn.Module):
    """Two 3x3 convolutions behind a shortcut, each with an adaptive instance norm (MUNIT, FUNIT, HiDT).

    Borders are mirrored. Nothing follows the sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b 4*c"]) -> Float[Tensor, "b c h w"]:
        """Refine `x` in a style: for either norm c shifts, then c scales, as the papers order them."""
        shift1, scale1, shift2, scale2 = style.chunk(4, dim=1)
        hidden = F.relu(adaptive_instance_norm(self.conv1(x), scale1, shift1))
        return x + adaptive_instance_norm(self.conv2(hidden), scale2, shift2)
