"""Networks of BicycleGAN (Zhu et al., NIPS 2017, arXiv:1711.11586).

Written from the paper and from the facts of the authors' release, and checked against tensors recorded from it. The
numbers are the release's, its in-place activations included, where they change what a later layer sees.

Shapes: b batch, c channels, h and w height and width at this depth, z latent dim.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_bicyclegan.config import ENCODED_SIDE, Config, Norm
from i2i_toolkit import InstanceNorm, initialise_xavier

LEAK = 0.2
"""Negative slope of every leaky ReLU (release)."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return the norm of this kind; the identity for "none"."""
    if norm == "instance":
        return InstanceNorm()
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


# --- Convolutions that downsample and upsample ------------------------------------------------------------------------


def downsampling_conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    """4x4 convolution with stride 2: half the side."""
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)


def upsampling_conv(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """4x4 transposed convolution with stride 2: twice the side."""
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1)


class BilinearConv(nn.Conv2d):
    """Bilinear interpolation to twice the side, then a 3x3 convolution with mirrored borders."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, padding_mode="reflect")

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k 2*h 2*w"]:  # noqa: A002 - nn.Conv2d's name
        """Enlarge, then convolve."""
        return super().forward(F.interpolate(input, scale_factor=2.0, mode="bilinear", align_corners=False))


# --- Generator --------------------------------------------------------------------------------------------------------


def with_latent(x: Float[Tensor, "b c h w"], latent: Float[Tensor, "b z"]) -> Float[Tensor, "b c+z h w"]:
    """Return the latent as constant maps behind the channels of `x`."""
    maps = latent[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
    return torch.cat([x, maps.to(x.dtype)], dim=1)


class DownBlock(nn.Module):
    """Convolution that downsamples, and norm; the first and the last level have no norm."""

    def __init__(self, channels_in: int, channels_out: int, norm: nn.Module) -> None:
        super().__init__()
        self.conv = downsampling_conv(channels_in, channels_out)
        self.norm = norm

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h/2 w/2"]:
        """Convolve and normalise."""
        return self.norm(self.conv(x))


class UpBlock(nn.Module):
    """Convolution that upsamples, and norm; the last one has no norm."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k 2*h 2*w"]:
        """Convolve and normalise."""
        return self.norm(self.conv(x))


class Generator(nn.Module):
    """A U-Net that takes a latent beside the image (paper, section 3.4 and figure 3).

    Level i downsamples the map of level i - 1 on the way down; on the way up it upsamples its own and puts the map that
    it was made from beside the result. Blocks are numbered from the image inwards, in both directions.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.latent_at = config.latent_at
        self.activation = config.activation
        widths, last = config.widths, config.levels - 1
        extra = config.latent_dim if config.latent_at == "all" else 0
        sources = (config.source_channels + config.latent_dim - extra, *widths[:-1])
        self.down = nn.ModuleList(
            DownBlock(sources[i] + extra, widths[i], make_norm(config.norm if 0 < i < last else "none", widths[i]))
            for i in range(config.levels)
        )
        results = (config.target_channels, *widths[:-1])
        conv = upsampling_conv if config.upsampling == "transposed" else BilinearConv
        self.up = nn.ModuleList(
            UpBlock(
                conv(widths[i] if i == last else 2 * widths[i], results[i]),
                make_norm(config.norm if i else "none", results[i]),
            )
            for i in range(config.levels)
        )
        self.dropout = nn.Dropout(0.0)
        """on the way up, between the innermost level and the four outer ones; a trainer may switch it on"""
        initialise_xavier(self)

    def forward(self, image: Float[Tensor, "b c h w"], latent: Float[Tensor, "b z"]) -> Float[Tensor, "b k h w"]:
        """Translate images in [-1, 1] whose sides are multiples of 2 ** levels; the result lies in (-1, 1)."""
        skips: list[Tensor] = []
        x = with_latent(image, latent) if self.latent_at == "input" else image
        for level, block in enumerate(self.down):
            skips.append(x)
            if self.latent_at == "all":
                x = with_latent(x, latent)
            if level > 0:
                x = F.leaky_relu(x, LEAK)
            if level > 0 and self.latent_at == "input":
                # The release activates in place, so the way up sees the activated map (with "all" it sees a copy).
                skips[level] = x
            x = block(x)
        return torch.tanh(self._upwards(x, skips))

    def _upwards(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        last = len(self.up) - 1
        for level in range(last, 0, -1):
            x = self.up[level](self._activated(x))
            if _OUTER_LEVELS <= level < last:
                x = self.dropout(x)
            x = torch.cat([x, skips[level]], dim=1)
        return self.up[0](self._activated(x))

    def _activated(self, x: Tensor) -> Tensor:
        if self.activation == "leaky_relu":
            return F.leaky_relu(x, LEAK)
        return F.elu(x) if self.activation == "elu" else F.relu(x)


_OUTER_LEVELS = 4
"""levels without dropout, counted from the image"""


# --- Encoder ----------------------------------------------------------------------------------------------------------


class Encoding(NamedTuple):
    """A normal distribution over latents, independent in each number."""

    mean: Float[Tensor, "b z"]
    log_variance: Float[Tensor, "b z"]


class EncoderBlock(nn.Module):
    """Residual block that downsamples by averaging."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = make_norm(norm, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_in, 3, padding=1)
        self.norm2 = make_norm(norm, channels_in)
        self.conv2 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1)
        self.is_normed = norm != "none"

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h/2 w/2"]:
        """Return the block's own path and the shortcut, both averaged to half the side, as a sum."""
        activated = F.leaky_relu(self.norm1(x), LEAK)
        inner = self.conv2(F.leaky_relu(self.norm2(self.conv1(activated)), LEAK))
        # Without a norm the release's in-place activation reaches the shortcut, too.
        kept = x if self.is_normed else activated
        return F.avg_pool2d(inner, 2) + self.shortcut(F.avg_pool2d(kept, 2))


class CnnBlock(nn.Module):
    """Convolution that downsamples, norm, leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm) -> None:
        super().__init__()
        self.conv = downsampling_conv(channels_in, channels_out)
        self.norm = make_norm(norm, channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h/2 w/2"]:
        """Convolve, normalise, activate."""
        return F.leaky_relu(self.norm(self.conv(x)), LEAK)


class Encoder(nn.Module):
    """Guesses the latent of an image: E_ResNet or E_CNN (paper, section 3.4 and table 2)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.is_residual = config.encoder == "resnet"
        factors = [i + 1 if self.is_residual else 2**i for i in range(config.encoder_downsamplings)]
        widths = [config.encoder_channels * min(factor, 4) for factor in factors]
        block = EncoderBlock if self.is_residual else CnnBlock
        self.stem = downsampling_conv(config.target_channels, config.encoder_channels)
        self.blocks = nn.ModuleList(block(width, wider, config.norm) for width, wider in pairwise(widths))
        self.mean = nn.Linear(widths[-1], config.latent_dim)
        self.log_variance = nn.Linear(widths[-1], config.latent_dim)
        initialise_xavier(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Encoding:
        """Return the distribution of latents for images in [-1, 1] of the trained size."""
        x = self.stem(image)
        if not self.is_residual:
            x = F.leaky_relu(x, LEAK)
        for block in self.blocks:
            x = block(x)
        if self.is_residual:
            x = F.leaky_relu(x, LEAK)
        features = F.avg_pool2d(x, ENCODED_SIDE).flatten(1)
        return Encoding(self.mean(features), self.log_variance(features))


# --- Discriminators ---------------------------------------------------------------------------------------------------


class PatchLayer(nn.Module):
    """4x4 convolution, norm (not in the first layer), leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 4, stride, padding=1)
        self.norm = make_norm(norm, channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Convolve, normalise, activate."""
        return F.leaky_relu(self.norm(self.conv(x)), LEAK)


class PatchDiscriminator(nn.Module):
    """Real or generated, patch by patch, at one scale."""

    def __init__(self, channels_in: int, channels: int, layers: int, norm: Norm) -> None:
        super().__init__()
        widths = [channels_in, *(channels * min(2**i, 8) for i in range(layers + 1))]
        self.layers = nn.ModuleList(
            PatchLayer(widths[i], widths[i + 1], stride=2 if i < layers else 1, norm=norm if i else "none")
            for i in range(layers + 1)
        )
        self.to_logits = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 y x"]:
        """One logit per patch: is it real?"""
        for layer in self.layers:
            x = layer(x)
        return self.to_logits(x)


class Discriminator(nn.Module):
    """Patch discriminators on an image and on smaller copies of it, each half the size and half the width."""

    def __init__(self, channels_in: int, channels: int, layers: int, scales: int, norm: Norm) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels_in, max(round(channels / 2**i), 1), layers, norm) for i in range(scales)
        )
        initialise_xavier(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b 1 y x"]]:
        """Logits of every scale, the full one first."""
        logits = [self.scales[0](image)]
        for scale in self.scales[1:]:
            image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(scale(image))
        return logits


def smallest_side(layers: int, scales: int) -> int:
    """Smallest image (pixels) that a discriminator takes: its two last convolutions each cost a pixel."""
    return 3 * 2 ** (layers + scales - 1)
