"""Networks of StarGAN v2 (Choi et al., CVPR 2020, arXiv:1912.01865, appendix E).

Written from the paper and from the facts of the authors' release, and checked against tensors recorded from it. The
numbers are the release's; what is regrouped (convolutions next to a halving or a doubling) says so where it is.

Shapes: b batch, c and k channels, h and w height and width at this depth, s style length, z latent length, n domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.config import DETAILED_SIDES, ENCODED_SIDE, Config

LEAK = 0.2
"""Negative slope of every leaky ReLU (release)."""

EPSILON = 1e-5
"""Added to every variance (release)."""

HALF_POWER = 0.5**0.5
"""Factor on the sum of two paths, which keeps its variance (release)."""

LAPLACIAN = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))
"""The high-pass filter (release), before it is divided by `Config.high_pass`."""

Masks = tuple[Float[Tensor, "b 1 y x"], Float[Tensor, "b 1 y x"]]
"""Where details pass, in [0, 1]: at the smallest of DETAILED_SIDES, and at the others."""


def leaky(x: Tensor) -> Tensor:
    """The activation of all networks but the mapping network."""
    return F.leaky_relu(x, LEAK)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """The release's start: Kaiming normal for every weight, the styles' affine layers included; no bias."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def pick(values: Float[Tensor, "b n *rest"], domain: Int[Tensor, " b"]) -> Tensor:
    """Of each sample the entry of its domain, [b, *rest]. A gather: the batch stays free in an exported graph."""
    index = domain.reshape(-1, *[1] * (values.ndim - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index).squeeze(1)


# --- Normalisation ----------------------------------------------------------------------------------------------------


def normalised(x: Float[Tensor, "b c h w"], scale: Float[Tensor, "#b c"], shift: Float[Tensor, "#b c"]) -> Tensor:
    """Zero mean and unit (biased) variance per sample and channel, then scaled and shifted; statistics in fp32."""
    if torch.compiler.is_exporting():
        return _normalised_in_graphs(x, scale, shift)
    batch, channels, *sides = x.shape
    # Every channel of every sample is a channel of its own to this one pass over the map.
    flat = x.reshape(1, batch * channels, *sides)
    wide = torch.promote_types(scale.dtype, torch.float32)
    factors, offsets = (values.expand(batch, channels).reshape(-1).to(wide) for values in (scale, shift))
    return F.batch_norm(flat, None, None, factors, offsets, training=True, eps=EPSILON).view_as(x)


def _normalised_in_graphs(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The same from sums of rows, and sums of these.

    A map that is constant but for its border, as a blank picture gives, has a deviation near the rounding error of a
    sum over all its pixels, as the operator for instance norms in onnxruntime takes it.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - _mean_over_rows(wide)
    unit = centred * torch.rsqrt(_mean_over_rows(centred.square()) + EPSILON)
    return (unit * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)


def _mean_over_rows(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


class InstanceNorm(nn.Module):
    """Instance norm with a learned scale and offset per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise, scale and shift."""
        return normalised(x, self.weight[None], self.bias[None])


class AdaIN(nn.Module):
    """Adaptive instance norm: scale - 1 and offset are linear in the style."""

    def __init__(self, style_length: int, channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_length, 2 * channels)

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b c h w"]:
        """Normalise, then scale and shift as the style says."""
        gamma, beta = self.affine(style).chunk(2, dim=1)
        return normalised(x, 1 + gamma, beta)


# --- Convolutions next to a change of size ----------------------------------------------------------------------------


def conv3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size; the outside is zero."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def conv1(channels_in: int, channels_out: int) -> nn.Module:
    """The 1x1 convolution of a shortcut; nothing where the channels stay."""
    return nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1, bias=False)


def halved(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h/2 w/2"]:
    """The mean of every 2x2 pixels."""
    return F.avg_pool2d(x, 2)


def doubled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    """Every pixel four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halved_conv(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k h/2 w/2"]:
    """`halved(conv(x))` as one 4x4 convolution of stride 2: 16 multiplications a value instead of 36.

    Its kernel is the mean of the 3x3 kernel at the four places where it contributes.
    """
    kernel = F.avg_pool2d(F.pad(conv.weight, (1, 1, 1, 1)), 2, stride=1)
    return F.conv2d(x, kernel, conv.bias, stride=2, padding=1)


def split_taps(kernel: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps on a doubled map as two taps on the map itself: at even places, and at odd ones."""
    first, middle, last = kernel.split(1, dim)
    return torch.cat([first, middle + last], dim), torch.cat([first + middle, last], dim)


def doubled_conv(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k 2*h 2*w"]:
    """`conv(doubled(x))` as four 2x2 convolutions of `x`: 4 multiplications a value instead of 9.

    Three neighbours of a doubled map show two values of `x`; which of them twice depends on whether the place is odd.
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
    """Two pre-activated convolutions beside a shortcut; half the size where `halves`, instance norm where `norms`."""

    def __init__(self, channels_in: int, channels_out: int, *, norms: bool, halves: bool) -> None:
        super().__init__()
        self.norm1 = InstanceNorm(channels_in) if norms else nn.Identity()
        self.conv1 = conv3(channels_in, channels_in)
        self.norm2 = InstanceNorm(channels_in) if norms else nn.Identity()
        self.conv2 = conv3(channels_in, channels_out)
        self.shortcut = conv1(channels_in, channels_out)
        self.halves = halves

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Encode."""
        hidden = leaky(self.norm1(x))
        hidden = halved_conv(hidden, self.conv1) if self.halves else self.conv1(hidden)
        residual = self.conv2(leaky(self.norm2(hidden)))
        # The release halves behind the shortcut's convolution; both are linear, and before it there is less to do.
        return (self.shortcut(halved(x) if self.halves else x) + residual) * HALF_POWER


class StyledBlock(nn.Module):
    """Two convolutions behind adaptive norms; twice the size where `doubles`.

    In a model that passes details on there is no shortcut, whose weights the release keeps nevertheless.
    """

    def __init__(
        self, channels_in: int, channels_out: int, style_length: int, *, doubles: bool, has_shortcut: bool
    ) -> None:
        super().__init__()
        self.norm1 = AdaIN(style_length, channels_in)
        self.conv1 = conv3(channels_in, channels_out)
        self.norm2 = AdaIN(style_length, channels_out)
        self.conv2 = conv3(channels_out, channels_out)
        self.shortcut = conv1(channels_in, channels_out).requires_grad_(has_shortcut)
        self.doubles = doubles
        self.has_shortcut = has_shortcut

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b k y x"]:
        """Decode in this style."""
        hidden = leaky(self.norm1(x, style))
        hidden = doubled_conv(hidden, self.conv1) if self.doubles else self.conv1(hidden)
        residual = self.conv2(leaky(self.norm2(hidden, style)))
        if not self.has_shortcut:
            return residual
        shortcut = self.shortcut(x)  # before the doubling, which commutes with it
        return (residual + (doubled(shortcut) if self.doubles else shortcut)) * HALF_POWER


# --- Generator --------------------------------------------------------------------------------------------------------


class HighPass(nn.Module):
    """What a map has beyond its surroundings."""

    kernel: Tensor

    def __init__(self, divisor: float) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor(LAPLACIAN) / divisor)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Filter every channel; the outside is zero."""
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)


class Encoded(NamedTuple):
    """A picture inside the generator; no style has touched it."""

    inner: Float[Tensor, "b c y x"]
    """the deepest map"""
    details: Mapping[int, Tensor]
    """side -> the map of this side, for those whose details may pass"""


class Generator(nn.Module):
    """Translates a picture into the domain and look that a style stands for."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths, style_length = config.generator_widths, config.style_length
        deepest, plain = widths[-1], not config.has_masks
        self.from_rgb = conv3(3, widths[0])
        self.encoder = nn.ModuleList(
            [ResBlock(width, wider, norms=True, halves=True) for width, wider in pairwise(widths)]
            + [ResBlock(deepest, deepest, norms=True, halves=False) for _ in range(2)]
        )
        self.decoder = nn.ModuleList(
            [StyledBlock(deepest, deepest, style_length, doubles=False, has_shortcut=plain) for _ in range(2)]
            + [
                StyledBlock(wider, width, style_length, doubles=True, has_shortcut=plain)
                for wider, width in pairwise(reversed(widths))
            ]
        )
        self.to_rgb_norm = InstanceNorm(widths[0])
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)
        self.high_pass = None if plain else HighPass(config.high_pass)
        initialise(self)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        style: Float[Tensor, "b s"],
        whole: Float[Tensor, "b 1 y x"] | None = None,
        inner: Float[Tensor, "b 1 y x"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """The translated picture, about (-1, 1): nothing limits it. Without both masks no details pass."""
        return self.decode(self.encode(image), style, () if whole is None or inner is None else (whole, inner))

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Encoded:
        """What all translations of a picture have in common."""
        details: dict[int, Tensor] = {}
        x = self.from_rgb(image)
        for block in self.encoder:
            if self.high_pass is not None and x.shape[2] in DETAILED_SIDES:
                details[x.shape[2]] = x
            x = block(x)
        return Encoded(x, details)

    def decode(
        self, encoded: Encoded, style: Float[Tensor, "b s"], masks: tuple[Tensor, ...] = ()
    ) -> Float[Tensor, "b 3 h w"]:
        """The picture in this style. `masks`: none, or two of any one size; see `Masks`."""
        x = encoded.inner
        for block in self.decoder:
            x = block(x, style)
            side = x.shape[2]
            if self.high_pass is not None and masks and side in DETAILED_SIDES:
                mask = masks[0] if side == DETAILED_SIDES[0] else masks[1]
                resized = F.interpolate(mask, size=(side, side), mode="bilinear", align_corners=False)
                x = x + self.high_pass(resized * encoded.details[side])
        return self.to_rgb(leaky(self.to_rgb_norm(x)))


# --- Styles -----------------------------------------------------------------------------------------------------------


class MappingNetwork(nn.Module):
    """From a latent to a style of each domain: four layers in common, four for every domain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, depth = config.mapping_channels, 3
        sizes = [config.latent_length] + [width] * (depth + 1)
        self.trunk = nn.ModuleList([nn.Linear(length, longer) for length, longer in pairwise(sizes)])
        self.heads = nn.ModuleList(
            [
                nn.ModuleList([*(nn.Linear(width, width) for _ in range(depth)), nn.Linear(width, config.style_length)])
                for _ in config.domains
            ]
        )
        initialise(self)

    def forward(self, latent: Float[Tensor, "b z"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """The style of each latent in its domain."""
        return pick(self.of_all_domains(latent), domain)

    def of_all_domains(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b n s"]:
        """The style of each latent in every domain."""
        hidden = latent
        for layer in self.trunk:
            hidden = F.relu(layer(hidden))
        return torch.stack([_through(head, hidden) for head in self.heads], dim=1)


def _through(head: nn.Module, hidden: Tensor) -> Tensor:
    *layers, last = head.children()
    for layer in layers:
        hidden = F.relu(layer(hidden))
    return last(hidden)


class Trunk(nn.Module):
    """What style encoder and discriminator have in common: a picture of one size becomes one vector."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.trunk_widths
        self.stem = conv3(3, widths[0])
        self.blocks = nn.ModuleList(
            [ResBlock(width, wider, norms=False, halves=True) for width, wider in pairwise(widths)]
        )
        self.last = nn.Conv2d(widths[-1], widths[-1], ENCODED_SIDE)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """Features of the whole picture."""
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return leaky(self.last(leaky(x))).flatten(1)


class StyleEncoder(nn.Module):
    """From a picture to its style, seen as a picture of a domain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = Trunk(config)
        self.heads = nn.ModuleList([nn.Linear(config.trunk_widths[-1], config.style_length) for _ in config.domains])
        initialise(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """The style of each picture in its domain."""
        return pick(self.of_all_domains(image), domain)

    def of_all_domains(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n s"]:
        """The style of each picture as one of every domain."""
        features = self.trunk(image)
        return torch.stack([head(features) for head in self.heads], dim=1)


class Discriminator(nn.Module):
    """Tells pictures of a domain from generated ones."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = Trunk(config)
        self.to_logits = nn.Conv2d(config.trunk_widths[-1], len(config.domains), 1)
        initialise(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], domain: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """One logit per picture, of its domain; high for real."""
        return pick(self.of_all_domains(image), domain)

    def of_all_domains(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
        """The logits of every domain."""
        return self.to_logits(self.trunk(image)[:, :, None, None]).flatten(1)
