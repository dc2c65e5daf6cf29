"""Layers of the style-based papers (StyleGAN, StyleGAN2, ALAE): equalized learning rates, and what stands beside them.

An equalized layer stores weights of unit deviation and multiplies them when it runs, so that Adam's steps are as large
a share of every weight (Karras et al. 2018, section 4.1).

Shapes: b batch, c and k channels, h and w height and width, n layers that take a style.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit.layers.norms import widened

SMALLEST_SQUARE = 1e-8
"""Added to mean squares and variances (releases)."""


class EqualizedLinear(nn.Module):
    """A linear layer with an equalized learning rate.

    Args:
        features_in: of the input.
        features_out: of the output.
        gain: factor on the deviation of the output; sqrt(2) before a leaky ReLU in StyleGAN, 1 elsewhere.
        rate: factor on the learning rate of weight and bias ("lrmul"); 0.01 in StyleGAN's mapping network.
        bias: whether there is one; it begins with `initial_bias`.
        initial_bias: what the bias is at first when it is used: 1 for StyleGAN2's styles.
    """

    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        gain: float = 1.0,
        rate: float = 1.0,
        bias: bool = True,
        initial_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features_out, features_in) / rate)
        self.bias = nn.Parameter(torch.full((features_out,), initial_bias / rate)) if bias else None
        self.factor = gain / math.sqrt(features_in) * rate
        self.rate = rate

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b k"]:
        """Multiply by the scaled weight, and add the scaled bias."""
        return F.linear(x, self.weight * self.factor, None if self.bias is None else self.bias * self.rate)


class EqualizedConv2d(nn.Module):
    """A convolution with an equalized learning rate; the outside is zero.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        kernel: its side.
        stride: in both directions.
        padding: pixels at every side; None: as many as keep the size at stride 1.
        gain: factor on the deviation of the output.
        bias: whether there is one; it begins with 0.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.factor = gain / math.sqrt(channels_in * kernel**2)
        self.stride = stride
        self.padding = kernel // 2 if padding is None else padding

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Convolve with the scaled weight."""
        return F.conv2d(x, self.weight * self.factor, self.bias, self.stride, self.padding)


def pixel_norm(x: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
    """Divide the channels of every pixel by the root of their mean square (Karras et al. 2018, section 4.2)."""
    wide = widened(x)
    return (wide * torch.rsqrt(wide.square().mean(1, keepdim=True) + SMALLEST_SQUARE)).to(x.dtype)


def binomial_blur(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Blur every channel with [1, 2, 1] x [1, 2, 1] / 16; the outside is zero, so borders darken (StyleGAN, ALAE)."""
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device) / 4
    channels = x.shape[1]
    kernel = torch.outer(taps, taps).expand(channels, 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=channels)


def with_minibatch_deviation(
    x: Float[Tensor, "b c h w"], group: int = 4, features: int = 1
) -> Float[Tensor, "b c+{features} h w"]:
    """Append maps of how much the images of a group differ (Karras et al. 2018, section 3; StyleGAN, StyleGAN2).

    Image j belongs to group j mod (b / group); every part of c / features channels gives one map, the mean over its
    channels and pixels of the deviation inside the group. Raises ValueError when `features` does not divide c, or the
    group (b where that is less) does not divide b.
    """
    batch, channels, height, width = x.shape
    size = min(group, batch)
    if batch % size or channels % features:
        raise ValueError(f"{batch} images in groups of {size}, {channels} channels in {features} parts")
    parts = widened(x).reshape(size, batch // size, features, channels // features, height, width)
    deviation = (parts.var(0, unbiased=False) + SMALLEST_SQUARE).sqrt().mean((2, 3, 4))
    maps = deviation.repeat(size, 1)[:, :, None, None].expand(-1, -1, height, width)
    return torch.cat([x, maps.to(x.dtype)], dim=1)


def truncated(
    styles: Float[Tensor, "b n c"], average: Float[Tensor, " c"], psi: float, cutoff: int | None = None
) -> Float[Tensor, "b n c"]:
    """Draw the styles of the first `cutoff` layers (None: of all) towards their average, which psi = 0 gives.

    The truncation trick (StyleGAN, appendix B); psi may be negative, which gives opposite styles.
    """
    near, far = styles[:, :cutoff], styles[:, styles.shape[1] if cutoff is None else cutoff :]
    return torch.cat([torch.lerp(average.expand_as(near), near, psi), far], dim=1)
