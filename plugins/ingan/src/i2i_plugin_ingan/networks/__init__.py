"""The generator of InGAN (Shocher, Bagon, Isola, Irani; ICCV 2019, arXiv:1812.00231).

Written from the paper and from facts about the authors' code, and checked against tensors recorded from that.

Shapes: b batch; h, w the image; y, x the result; c channels.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ingan.config import NARROWING, Config
from i2i_plugin_ingan.networks.layers import (
    INITIAL_GAIN,
    LEAK,
    ImageNorm,
    SpectralConv,
    conv_after_upsampling,
)
from i2i_toolkit import widened

BORDER_KERNEL = 7
"""Of the first and of the last convolution."""


def mirrored(x: Float[Tensor, "b c h w"], pixels: int) -> Float[Tensor, "b c h+2*{pixels} w+2*{pixels}"]:
    """Return the image with its borders mirrored."""
    return F.pad(x, (pixels, pixels, pixels, pixels), mode="reflect")


def activated(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Return the leaky rectifier, in place: what made `x` has no further use for it."""
    return F.leaky_relu(x, LEAK, inplace=True)


class ConvBlock(nn.Module):
    """Mirror the borders, convolve, normalise, activate."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__()
        self.conv = SpectralConv(channels_in, channels_out, kernel)
        self.norm = ImageNorm(channels_out)
        self.padding = kernel // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Return maps of the same size."""
        return activated(self.normalised(x))

    def normalised(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """All but the activation."""
        return self.norm(self.conv(mirrored(x, self.padding) if self.padding else x))


class DownsamplingBlock(ConvBlock):
    """`ConvBlock` with a 3x3 kernel, then the largest of every four pixels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h/2 w/2"]:
        """Half the size. The activation keeps the order of values, and so may come after the choice."""
        return activated(F.max_pool2d(self.normalised(x), 2))


class DoublingBlock(nn.Module):
    """Twice the size (nearest neighbour), then as `ConvBlock` with a 3x3 kernel."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = SpectralConv(channels_in, channels_out, 3)
        self.norm = ImageNorm(channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k 2*h 2*w"]:
        """Twice the size."""
        enlarged = conv_after_upsampling(x, self.conv.kernel(), self.conv.bias)
        return activated(self.norm(enlarged))


class Bottleneck(nn.Module):
    """x + what two 1x1 convolutions and a 3x3 one between them, on a quarter of the channels, make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // NARROWING
        self.narrow = ConvBlock(channels, narrow, 1)
        self.inner = ConvBlock(narrow, narrow, 3)
        self.widen = SpectralConv(narrow, channels, 1)
        self.norm = ImageNorm(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine at the same size."""
        return x + self.norm(self.widen(self.inner(self.narrow(x))))


class Generator(nn.Module):
    """Maps an image to another size and shape, with the patches that it is made of (paper, section 3.2).

    A U-Net behind a geometric transformation of its first feature map: what the transformation stretches, the rest
    learns to replace by patches of the image's own size. Feature maps that are downsampled are kept and added on the
    way up.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = [config.channels * 2**level for level in range(config.downscales + 1)]
        self.entry = ConvBlock(3, widths[0], BORDER_KERNEL)
        self.down = nn.ModuleList(DownsamplingBlock(c, k) for c, k in pairwise(widths))
        self.blocks = nn.Sequential(*(Bottleneck(widths[-1]) for _ in range(config.blocks)))
        self.up = nn.ModuleList(DoublingBlock(k, c) for c, k in pairwise(widths))
        self.to_image = nn.Conv2d(widths[0], 3, BORDER_KERNEL)
        nn.init.xavier_normal_(self.to_image.weight, gain=INITIAL_GAIN)
        nn.init.zeros_(_bias_of(self.to_image))

    def forward(self, image: Float[Tensor, "b 3 h w"], grid: Float[Tensor, "b y x 2"]) -> Float[Tensor, "b 3 y x"]:
        """Return the image at the size of the grid, in (-1, 1); sides in multiples of 2^downscales."""
        x = transformed(self.entry(image), grid)
        kept: list[Tensor] = []
        for down in self.down:
            kept.append(x)
            x = down(x)
        x = self.blocks(x)
        for up in reversed(self.up):
            x = up(x) + kept.pop()
        return torch.tanh(self.to_image(mirrored(x, BORDER_KERNEL // 2)))


def transformed(features: Float[Tensor, "b c h w"], grid: Float[Tensor, "b y x 2"]) -> Float[Tensor, "b c y x"]:
    """Return the feature map at the points of the grid, bilinear; in float32 at least."""
    sampled = F.grid_sample(widened(features), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.to(features.dtype)


class Retargeting(nn.Module):
    """A generator for use: ordinary kernels, any batch, and white where the image does not reach."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = deepcopy(generator).eval()
        for module in self.generator.modules():
            if isinstance(module, SpectralConv):
                module.fold()

    def forward(
        self, image: Float[Tensor, "b 3 h w"], grid: Float[Tensor, "b y x 2"], coverage: Float[Tensor, "b 1 y x"]
    ) -> Float[Tensor, "b 3 y x"]:
        """Return the retargeted image in [-1, 1]."""
        return coverage * self.generator(image, grid) + 1 - coverage


def _bias_of(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise TypeError("a convolution without a bias")
    return conv.bias
