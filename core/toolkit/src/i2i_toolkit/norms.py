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

    Where nothing learns, the mean is subtracted beforehand, from sums of rows and sums of these. What is left of a
    constant map, as a blank picture gives, is otherwise the rounding error of one mean over all its pixels, 300 times
    as large after every norm: such pictures became noise, another one in torch than in onnxruntime, and a map that is
    constant but for its border was off by 0.5. Training does without: it would take 2 to 5 % longer.
    """
    wide = widened(x)
    if not learning():
        wide = wide - _mean_of_rows(wide)
    return F.instance_norm(wide, weight=weight, bias=bias, eps=eps).to(x.dtype)


def learning() -> bool:
    """Whether gradients are recorded, and no graph is exported."""
    return torch.is_grad_enabled() and not torch.compiler.is_exporting()


def map_mean(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """The mean of every map, for norms of other kinds; where nothing learns, that of a constant map is its value."""
    if learning():
        return x.mean((2, 3), keepdim=True)
    mean = _mean_of_rows(x)
    return mean + _mean_of_rows(x - mean)


def _mean_of_rows(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


class InstanceNorm(nn.Module):
    """Instance norm in which nothing is learned; it does not tell training from evaluation mode."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; see `instance_norm`."""
        return instance_norm(x)
