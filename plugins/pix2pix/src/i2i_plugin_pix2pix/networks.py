"""Networks of pix2pix (Isola et al., CVPR 2017, arXiv:1611.07004).

Written from the paper and checked against tensors recorded from the authors' PyTorch release.

Shapes: b batch, c channels, h and w height and width at this depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_pix2pix.config import FIRST_DROPOUT_LEVEL, Config, Norm
from i2i_toolkit.winograd import Conv3x3

LEAK = 0.2
"""Negative slope on the way down, and in the discriminators (paper, appendix)."""

DROPOUT = 0.5
"""Share of values that dropout sets to zero (paper, appendix)."""

INITIAL_DEVIATION = 0.02
"""Standard deviation of initial weights (paper, appendix)."""

MOST_DOUBLINGS = 8
"""A discriminator is at most this many times as wide as after its first convolution (release)."""


class TestTime(NamedTuple):
    """How a picture is translated after training; without it the modules' training modes decide."""

    own_statistics: Bool[Tensor, "b 1 1 1"]
    """per picture: normalise by its own statistics (the paper) or by the training's running ones"""
    kept: Iterator[Float[Tensor, "b c h w"]]
    """one for each dropout layer, in the order of the forward pass: the factor of every value, 0 or 2 for dropout at
    work, 1 for none"""


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), norm weights from N(1, 0.02), biases 0 (paper, appendix)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            module.weight.normal_(mean, INITIAL_DEVIATION)
            if module.bias is not None:
                module.bias.zero_()


# --- Normalisation and dropout ----------------------------------------------------------------------------------------


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can also normalise each picture by itself, as the paper does at test time with one picture."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more than its base
        self,
        input: Float[Tensor, "b c h w"],  # noqa: A002 - nn.BatchNorm2d's name
        test: TestTime | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Normalise; statistics in float32 at least."""
        if test is None:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        own_mean = x.mean((2, 3), keepdim=True)
        own_variance = (x - own_mean).square().mean((2, 3), keepdim=True)
        mean = torch.where(test.own_statistics, own_mean, self._running(self.running_mean))
        variance = torch.where(test.own_statistics, own_variance, self._running(self.running_var))
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias[:, None, None], x - mean, scale).to(input.dtype)

    @staticmethod
    def _running(statistic: Tensor | None) -> Float[Tensor, "1 c 1 1"]:
        if statistic is None:  # nn.BatchNorm2d types them so; only track_running_stats=False would leave them out
            raise TypeError("this batch norm has no running statistics")
        return statistic[None, :, None, None]


class InstanceNorm(nn.Module):
    """Zero mean and unit (biased) variance per sample and channel; nothing is learned, and every mode is the same."""

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b c h w"]:  # noqa: ARG002 - called like BatchNorm
        """Normalise; statistics in float32 at least."""
        return F.instance_norm(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)


def make_norm(kind: Norm, channels: int) -> BatchNorm | InstanceNorm:
    """The norm of that kind for that many channels."""
    return BatchNorm(channels) if kind == "batch" else InstanceNorm()


class Dropout(nn.Dropout):
    """Dropout whose choice may come from outside: graphs that are exported draw nothing themselves."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more than its base
        self,
        input: Float[Tensor, "b c h w"],  # noqa: A002 - nn.Dropout's name
        test: TestTime | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Multiply by the next of `test.kept`, or by a draw of its own when there is none."""
        return super().forward(input) if test is None else input * next(test.kept).to(input.dtype)


class Chain(nn.Sequential):
    """Modules one after the other; those whose behaviour at test time is chosen are told of the choice."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more than its base
        self,
        input: Float[Tensor, "b c h w"],  # noqa: A002 - nn.Sequential's name
        test: TestTime | None = None,
    ) -> Float[Tensor, "b k y x"]:
        """Whatever size the modules give."""
        x = input
        for module in self:
            x = module(x, test) if isinstance(module, BatchNorm | Dropout | ResidualBlock) else module(x)
        return x


# --- U-Net ------------------------------------------------------------------------------------------------------------


class Down(nn.Module):
    """One level of the way down: LeakyReLU (not on the picture), convolution, norm (not at the ends)."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm, *, on_picture: bool, normalised: bool) -> None:
        super().__init__()
        self.on_picture = on_picture
        self.conv = nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=norm == "instance")
        self.norm = make_norm(norm, channels_out) if normalised else None

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None) -> Float[Tensor, "b k y x"]:
        """Half the size."""
        x = self.conv(x if self.on_picture else F.leaky_relu(x, LEAK))
        return x if self.norm is None else self.norm(x, test)


class Up(nn.Module):
    """One level of the way up: ReLU, transposed convolution, norm, dropout where the level has it."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm, *, dropout: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=norm == "instance")
        self.norm = make_norm(norm, channels_out)
        self.dropout = Dropout(DROPOUT) if dropout else None

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None) -> Float[Tensor, "b k y x"]:
        """Twice the size."""
        x = self.norm(self.conv(F.relu(x)), test)
        return x if self.dropout is None else self.dropout(x, test)


class UNet(nn.Module):
    """Encoder and decoder with a connection across at every level (paper, section 3.2.1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        depth, norm = config.depth, config.norm
        # Level i + 1 takes widths[i] channels and hands widths[i + 1] down; the picture is level 1.
        widths = [config.input_channels, *(config.level_channels(level) for level in range(1, depth + 1))]
        self.down = nn.ModuleList(
            Down(widths[i], widths[i + 1], norm, on_picture=i == 0, normalised=0 < i < depth - 1) for i in range(depth)
        )
        self.up = nn.ModuleList(
            Up(
                # Beside what comes from below lies what came from above; at the bottom there is nothing below.
                widths[level] if level == depth else 2 * widths[level],
                widths[level - 1],
                norm,
                dropout=config.dropout and FIRST_DROPOUT_LEVEL <= level < depth,
            )
            for level in range(2, depth + 1)
        )
        self.to_image = nn.ConvTranspose2d(2 * widths[1], config.output_channels, 4, stride=2, padding=1)
        initialise(self)

    def forward(self, image: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b k h w"]:
        """Translate pictures in [-1, 1] to (-1, 1); sides are multiples of 2**depth."""
        x = image
        crossing: list[Tensor] = []
        for down in self.down:
            x = down(x, test)
            crossing.append(x)
        x = crossing.pop()
        for up in reversed(self.up):
            x = torch.cat([crossing.pop(), up(x, test)], dim=1)
        return torch.tanh(self.to_image(F.relu(x)))


# --- ResNet -----------------------------------------------------------------------------------------------------------


class ResidualBlock(nn.Module):
    """x + norm(conv(dropout(relu(norm(conv(x))))))."""

    def __init__(self, channels: int, norm: Norm, *, dropout: bool) -> None:
        super().__init__()
        self.conv_block = Chain(
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels, bias=norm == "instance"),
            make_norm(norm, channels),
            nn.ReLU(),
            *([Dropout(DROPOUT)] if dropout else []),
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels, bias=norm == "instance"),
            make_norm(norm, channels),
        )

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b c h w"]:
        """Refine at the same size."""
        return x + self.conv_block(x, test)


class ResNet(nn.Module):
    """Two halvings, residual blocks, two doublings (the release's second generator).

    Its modules are counted as in the release, those without parameters too, because that is the only thing that tells
    them apart in its checkpoints: where the last ones stand depends on the number of blocks.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, norm, bias = config.channels, config.norm, config.norm == "instance"
        self.model = Chain(
            nn.ReflectionPad2d(3),
            nn.Conv2d(config.input_channels, c, 7, bias=bias),
            make_norm(norm, c),
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 4 * c),
            nn.ReLU(),
            *(ResidualBlock(4 * c, norm, dropout=config.dropout) for _ in range(config.depth)),
            nn.ConvTranspose2d(4 * c, 2 * c, 3, stride=2, padding=1, output_padding=1, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1, bias=bias),
            make_norm(norm, c),
            nn.ReLU(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(c, config.output_channels, 7),
            nn.Tanh(),
        )
        initialise(self)

    def forward(self, image: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b k h w"]:
        """Translate pictures in [-1, 1] to (-1, 1); sides are multiples of 4."""
        return self.model(image, test)


def make_generator(config: Config) -> UNet | ResNet:
    """The generator that the Config asks for."""
    return UNet(config) if config.generator == "unet" else ResNet(config)


# --- Discriminators ---------------------------------------------------------------------------------------------------


class PatchDiscriminator(nn.Module):
    """Judges every patch of a picture (paper, section 3.2.2); three halving layers see 70x70 pixels each."""

    def __init__(self, channels_in: int, channels: int, layers: int, norm: Norm) -> None:
        super().__init__()
        bias = norm == "instance"
        widths = [channels * min(2**i, MOST_DOUBLINGS) for i in range(layers + 1)]
        self.first = nn.Conv2d(channels_in, channels, 4, stride=2, padding=1)
        strides = [2] * (layers - 1) + [1]  # the last of them does not halve
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=stride, padding=1, bias=bias)
            for i, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(make_norm(norm, width) for width in widths[1:])
        self.to_logits = nn.Conv2d(widths[-1], 1, 4, padding=1)
        initialise(self)

    def forward(self, pair: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 y x"]:
        """Logits of being real, one per patch, for input and output stacked along the channels."""
        x = F.leaky_relu(self.first(pair), LEAK)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK)
        return self.to_logits(x)


class PixelDiscriminator(nn.Module):
    """Judges every pixel by itself (paper, section 4.4: 1x1 patches)."""

    def __init__(self, channels_in: int, channels: int, norm: Norm) -> None:
        super().__init__()
        bias = norm == "instance"
        self.first = nn.Conv2d(channels_in, channels, 1)
        self.conv = nn.Conv2d(channels, 2 * channels, 1, bias=bias)
        self.norm = make_norm(norm, 2 * channels)
        self.to_logits = nn.Conv2d(2 * channels, 1, 1, bias=bias)
        initialise(self)

    def forward(self, pair: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits of being real, one per pixel, for input and output stacked along the channels."""
        x = F.leaky_relu(self.first(pair), LEAK)
        return self.to_logits(F.leaky_relu(self.norm(self.conv(x)), LEAK))
