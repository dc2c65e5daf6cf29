"""The multi-scale critic of InGAN (paper, section 3.1): nets of one shape, each of which sees the image smaller.

Shapes: b batch; h, w the image; y, x a map of judgements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ingan.networks.layers import LEAK, ImageNorm, SpectralConv

STEP = 1.4
"""From one scale to the next, in the paper."""

BALANCING = 1.4
"""What a scale counts over the next finer one, at first."""

SMALLEST_SEEN = 13
"""Pixels a side that the last scale with a weight has more than."""

SMALLEST_TRAINED = 16
"""Pixels a side that the last net's share of a crop has more than."""

MOST_NETS = 99


def scale_count(side: int, smallest: int, step: float) -> int:
    """How many scales of an image with that shorter side (pixels) are larger than `smallest`."""
    return min(math.ceil(math.log(side / smallest) / math.log(step)), MOST_NETS)


def net_count(height: int, width: int, step: float = STEP) -> int:
    """Nets of a critic that learns from crops of that size."""
    return scale_count(min(height, width), SMALLEST_TRAINED, step)


def scale_weights(height: int, width: int, iteration: int, balanced_at: int, step: float = STEP) -> tuple[float, ...]:
    """Return what each scale counts for an image of that size; they sum to 1.

    At first the coarse scales decide, all count alike when `balanced_at` iterations are done, and the fine ones
    decide afterwards.
    """
    ratio = BALANCING ** ((balanced_at - iteration) / balanced_at)
    weights = [ratio**scale for scale in range(scale_count(min(height, width), SMALLEST_SEEN, step))]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


class PatchCritic(nn.Module):
    """Judges patches of 9 pixels a side: 1 is real, 0 is made."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (3, channels, 2 * channels, 2 * channels)
        strides = (1, 2, 1)
        self.convs = nn.ModuleList(
            SpectralConv(c, k, 3, stride) for c, k, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.norms = nn.ModuleList(ImageNorm(k) for k in widths[1:])
        self.judge = SpectralConv(widths[-1], 1, 1)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 y x"]:
        """Return a map of judgements in (0, 1)."""
        x = image
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK, inplace=True)
        return torch.sigmoid(self.judge(x))


class MultiScaleCritic(nn.Module):
    """The weighted sum of what its nets say, as one map of the finest net's size."""

    def __init__(self, channels: int, nets: int, step: float = STEP) -> None:
        super().__init__()
        self.step = step
        self.nets = nn.ModuleList(PatchCritic(channels) for _ in range(nets))

    def forward(self, image: Float[Tensor, "b 3 h w"], weights: Sequence[float]) -> Float[Tensor, "b 1 y x"]:
        """Judge. Scales without a net, and nets without a weight, are left out: the sum of weights may be below 1."""
        total: Tensor | None = None
        for scale, (net, weight) in enumerate(zip(self.nets, weights, strict=False)):
            said = weight * net(self.reduced(image, scale)).float()
            if total is None:
                total = said
            else:
                total = total + F.interpolate(said, total.shape[2:], mode="bilinear", align_corners=False)
        if total is None:
            raise ValueError(f"{len(self.nets)} nets and {len(weights)} weights: nothing to judge by")
        return total

    def reduced(self, image: Float[Tensor, "b 3 h w"], scale: int) -> Float[Tensor, "b 3 y x"]:
        """Return the image as net number `scale` sees it: bilinear, without antialiasing."""
        if scale == 0:
            return image
        height, width = (int(side * self.step**-scale) for side in image.shape[2:])
        return F.interpolate(image, (height, width), mode="bilinear", align_corners=False)
