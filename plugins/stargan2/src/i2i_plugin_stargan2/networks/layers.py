"""Layers and blocks of StarGAN v2 (Choi et al., CVPR 2020, arXiv:1912.01865, appendix E).

What is regrouped (convolutions next to a downsampling or an upsampling) says so where it is.

Shapes: b batch, c and k channels, h and w height and width at this depth, s style dim.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import adaptive_instance_norm

LEAK = 0.2
"""Negative slope of every leaky ReLU (release)."""

HALF_POWER = 0.5**0.5
"""Factor on the sum of two paths, which keeps its variance (release)."""


def leaky(x: Tensor) -> Tensor:
    """Return the activation of all networks but the mapping network."""
    return F.leaky_relu(x, LEAK)


# --- Normalisation ----------------------------------------------------------------------------------------------------


class AffineInstanceNorm(nn.Module):
    """Instance norm with a learned scale and offset per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise, scale and shift."""
        return adaptive_instance_norm(x, self.weight[None], self.bias[None])


class AdaIN(nn.Module):
    """Adaptive instance norm: scale - 1 and offset are linear in the style."""

    def __init__(self, style_dim: int, channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b c h w"]:
        """Normalise, then scale and shift as the style says."""
        gamma, beta = self.affine(style).chunk(2, dim=1)
        return adaptive_instance_norm(x, 1 + gamma, beta)


# --- Convolutions next to a change of size ----------------------------------------------------------------------------


def conv3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size; the outside is zero."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def conv1(channels_in: int, channels_out: int) -> nn.Module:
    """Return the 1x1 convolution of a shortcut; nothing where the channels stay."""
    return nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1, bias=False)


def downsampled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h/2 w/2"]:
    """Return the mean of every 2x2 pixels."""
    return F.avg_pool2d(x, 2)


def upsampled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    """Every pixel four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def downsampled_conv(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k h/2 w/2"]:
    """`downsampled(conv(x))` as one 4x4 convolution of stride 2: 16 multiplications a value instead of 36.

    Its kernel is the mean of the 3x3 kernel at the four places where it contributes.
    """
    kernel = F.avg_pool2d(F.pad(conv.weight, (1, 1, 1, 1)), 2, stride=1)
    return F.conv2d(x, kernel, conv.bias, stride=2, padding=1)


def split_taps(kernel: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps on an upsampled map as two taps on the map itself: at even places, and at odd ones."""
    first, middle, last = kernel.split(1, dim)
    return torch.cat([first, middle + last], dim), torch.cat([first + middle, last], dim)


def upsampled_conv(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k 2*h 2*w"]:
    """`conv(upsampled(x))` as four 2x2 convolutions of `x`: 4 multiplications a value instead of 9.

    Three neighbours of an upsampled map show two values of `x`; which one twice depends on whether the place is odd.
    """
    phases = [phase for row in split_taps(conv.weight, 2) for phase in split_taps(row, 3)]
    padded = F.pad(x, (1, 1, 1, 1))
    height, width = x.shape[2:]
    made = [
        F.conv2d(padded[:, :, row : row + height + 1, column : column + width + 1], phases[2 * row + column], conv.bias)
        for row in range(2)
        for column in range(2)
    ]
    return F.pixel_shuffle(torch.stack(made, dim=2).flatten(1, 2), 2)


# --- Blocks -----------------------------------------------------------------------------------------------------------


class ResBlock(nn.Module):
    """Two pre-activated convolutions beside a shortcut; half the size if it `downsamples`, instance norm if `norms`."""

    def __init__(self, channels_in: int, channels_out: int, *, norms: bool, downsamples: bool) -> None:
        super().__init__()
        self.norm1 = AffineInstanceNorm(channels_in) if norms else nn.Identity()
        self.conv1 = conv3(channels_in, channels_in)
        self.norm2 = AffineInstanceNorm(channels_in) if norms else nn.Identity()
        self.conv2 = conv3(channels_in, channels_out)
        self.shortcut = conv1(channels_in, channels_out)
        self.downsamples = downsamples

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Encode."""
        hidden = leaky(self.norm1(x))
        hidden = downsampled_conv(hidden, self.conv1) if self.downsamples else self.conv1(hidden)
        residual = self.conv2(leaky(self.norm2(hidden)))
        # The release downsamples behind the shortcut's convolution; both are linear, and before it there is less to do.
        return (self.shortcut(downsampled(x) if self.downsamples else x) + residual) * HALF_POWER


class StyledBlock(nn.Module):
    """Two convolutions behind adaptive norms; twice the size where `upsamples`.

    In a model that passes details on there is no shortcut, whose weights the release keeps nevertheless.
    """

    def __init__(
        self, channels_in: int, channels_out: int, style_dim: int, *, upsamples: bool, has_shortcut: bool
    ) -> None:
        super().__init__()
        self.norm1 = AdaIN(style_dim, channels_in)
        self.conv1 = conv3(channels_in, channels_out)
        self.norm2 = AdaIN(style_dim, channels_out)
        self.conv2 = conv3(channels_out, channels_out)
        self.shortcut = conv1(channels_in, channels_out).requires_grad_(has_shortcut)
        self.upsamples = upsamples
        self.has_shortcut = has_shortcut

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b k y x"]:
        """Decode in this style."""
        hidden = leaky(self.norm1(x, style))
        hidden = upsampled_conv(hidden, self.conv1) if self.upsamples else self.conv1(hidden)
        residual = self.conv2(leaky(self.norm2(hidden, style)))
        if not self.has_shortcut:
            return residual
        shortcut = self.shortcut(x)  # before the upsampling, which commutes with it
        return (residual + (upsampled(shortcut) if self.upsamples else shortcut)) * HALF_POWER
