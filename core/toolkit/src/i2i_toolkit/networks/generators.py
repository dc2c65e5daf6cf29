"""The generators: U-Net (pix2pix, arXiv:1611.07004, section 3.2.1) and ResNet (CycleGAN, arXiv:1703.10593, section 4).

Written from the papers and checked against tensors recorded from the authors' PyTorch release.

Shapes: b batch, c channels, h and w height and width at this depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.schema.operations import Input
from i2i_toolkit.layers.initialisation import initialise_normal
from i2i_toolkit.layers.norms import InstanceNorm, map_mean, widened
from i2i_toolkit.layers.winograd import Conv3x3
from i2i_toolkit.networks.architecture import FIRST_DROPOUT_LEVEL, Architecture, NormKind

LEAK = 0.2
"""Negative slope on the U-Net's way down, and in the discriminators (papers, appendix)."""

DROPOUT = 0.5
"""Share of values that dropout sets to zero (papers, appendix)."""

TEST_TIME_BEHAVIOURS = ("paper", "deterministic")
"""paper: statistics of the image itself, and dropout as the noise; what the authors' test script does, and how their
published results look. deterministic: running statistics of the training, no dropout; the same image each time."""


class TestTime(NamedTuple):
    """How an image is translated after training; without it the modules' training modes decide."""

    own_statistics: Bool[Tensor, "b 1 1 1"]
    """per image: normalise by its own statistics (the paper) or by the training's running ones"""
    kept: Iterator[Float[Tensor, "b c h w"]] | None
    """one for each dropout layer, in the order of the forward pass: the factor of every value, 0 or 2 for dropout at
    work, 1 for none; None: no dropout at all"""


# --- Normalisation and dropout ----------------------------------------------------------------------------------------


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can also normalise each image by itself, as the paper does at test time with one image."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more than its base
        self,
        input: Float[Tensor, "b c h w"],  # noqa: A002 - nn.BatchNorm2d's name
        test: TestTime | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Normalise; statistics in float32 at least."""
        if test is None:
            return super().forward(input)
        x = widened(input)
        own_mean = map_mean(x)
        own_variance = map_mean((x - own_mean).square())
        mean = torch.where(test.own_statistics, own_mean, self._running(self.running_mean))
        variance = torch.where(test.own_statistics, own_variance, self._running(self.running_var))
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias[:, None, None], x - mean, scale).to(input.dtype)

    @staticmethod
    def _running(statistic: Tensor | None) -> Float[Tensor, "1 c 1 1"]:
        if statistic is None:  # nn.BatchNorm2d types them so; only track_running_stats=False would leave them out
            raise TypeError("this batch norm has no running statistics")
        return statistic[None, :, None, None]


def make_norm(kind: NormKind, channels: int) -> BatchNorm | InstanceNorm | nn.Identity:
    """Return the norm of that kind for that many channels."""
    if kind == "batch":
        return BatchNorm(channels)
    return InstanceNorm() if kind == "instance" else nn.Identity()


def _normed(norm: nn.Module, x: Tensor, test: TestTime | None) -> Tensor:
    """Only batch norm has a choice at test time."""
    return norm(x, test) if isinstance(norm, BatchNorm) else norm(x)


class Dropout(nn.Dropout):
    """Dropout whose choice may come from outside: graphs that are exported draw nothing themselves."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more than its base
        self,
        input: Float[Tensor, "b c h w"],  # noqa: A002 - nn.Dropout's name
        test: TestTime | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Multiply by the next of `test.kept`; without `test`, what nn.Dropout does."""
        if test is None:
            return super().forward(input)
        return input if test.kept is None else input * next(test.kept).to(input.dtype)


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
    """One level of the way down: LeakyReLU (not on the image), convolution, norm (not at the ends)."""

    def __init__(
        self, channels_in: int, channels_out: int, norm: NormKind, *, on_image: bool, normalised: bool
    ) -> None:
        super().__init__()
        self.on_image = on_image
        # The release goes by the norm of the whole network, also where this level has none.
        self.conv = nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=norm == "instance")
        self.norm = make_norm(norm, channels_out) if normalised else None

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None) -> Float[Tensor, "b k y x"]:
        """Half the size."""
        x = self.conv(x if self.on_image else F.leaky_relu(x, LEAK))
        return x if self.norm is None else _normed(self.norm, x, test)


class Up(nn.Module):
    """One level of the way up: ReLU, transposed convolution, norm, dropout where the level has it."""

    def __init__(self, channels_in: int, channels_out: int, norm: NormKind, *, dropout: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=norm == "instance")
        self.norm = make_norm(norm, channels_out)
        self.dropout = Dropout(DROPOUT) if dropout else None

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None) -> Float[Tensor, "b k y x"]:
        """Twice the size."""
        x = _normed(self.norm, self.conv(F.relu(x)), test)
        return x if self.dropout is None else self.dropout(x, test)


class UNet(nn.Module):
    """Encoder and decoder with a connection across at every level (paper, section 3.2.1)."""

    def __init__(self, architecture: Architecture, channels_in: int, channels_out: int) -> None:
        super().__init__()
        depth, norm = architecture.depth, architecture.norm
        # Level i + 1 takes widths[i] channels and hands widths[i + 1] down; the image is level 1.
        widths = [channels_in, *(architecture.level_channels(level) for level in range(1, depth + 1))]
        self.down = nn.ModuleList(
            Down(widths[i], widths[i + 1], norm, on_image=i == 0, normalised=0 < i < depth - 1) for i in range(depth)
        )
        self.up = nn.ModuleList(
            Up(
                # Beside what comes from below lies what came from above; at the bottom there is nothing below.
                widths[level] if level == depth else 2 * widths[level],
                widths[level - 1],
                norm,
                dropout=architecture.dropout and FIRST_DROPOUT_LEVEL <= level < depth,
            )
            for level in range(2, depth + 1)
        )
        self.to_image = nn.ConvTranspose2d(2 * widths[1], channels_out, 4, stride=2, padding=1)
        initialise_normal(self)

    def forward(self, image: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b k h w"]:
        """Translate images in [-1, 1] to (-1, 1); sides are multiples of 2**depth."""
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

    def __init__(self, channels: int, norm: NormKind, *, dropout: bool) -> None:
        super().__init__()
        self.conv_block = Chain(
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels, bias=norm == "instance"),
            make_norm(norm, channels),
            nn.ReLU(inplace=True),
            *([Dropout(DROPOUT)] if dropout else []),
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels, bias=norm == "instance"),
            make_norm(norm, channels),
        )

    def forward(self, x: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b c h w"]:
        """Refine at the same size."""
        return x + self.conv_block(x, test)


class ResNet(nn.Module):
    """Two layers that downsample, residual blocks, two layers that upsample (CycleGAN's paper, appendix).

    Its modules are counted as in the release, those without parameters too, because that is the only thing that tells
    them apart in its checkpoints: where the last ones stand depends on the number of blocks.
    """

    def __init__(self, architecture: Architecture, channels_in: int, channels_out: int) -> None:
        super().__init__()
        c, norm, bias = architecture.channels, architecture.norm, architecture.biased
        self.model = Chain(
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels_in, c, 7, bias=bias),
            make_norm(norm, c),
            nn.ReLU(inplace=True),
            # Zeros around the image here, mirrored everywhere else.
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 4 * c),
            nn.ReLU(inplace=True),
            *(ResidualBlock(4 * c, norm, dropout=architecture.dropout) for _ in range(architecture.depth)),
            nn.ConvTranspose2d(4 * c, 2 * c, 3, stride=2, padding=1, output_padding=1, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1, bias=bias),
            make_norm(norm, c),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(3),
            nn.Conv2d(c, channels_out, 7),
            nn.Tanh(),
        )
        initialise_normal(self)

    def forward(self, image: Float[Tensor, "b c h w"], test: TestTime | None = None) -> Float[Tensor, "b k h w"]:
        """Translate images in [-1, 1] to (-1, 1); sides are multiples of 4."""
        return self.model(image, test)


def make_generator(architecture: Architecture, channels_in: int, channels_out: int) -> UNet | ResNet:
    """Return the generator of that architecture, from images of `channels_in` channels to those of `channels_out`."""
    kind = UNet if architecture.kind == "unet" else ResNet
    return kind(architecture, channels_in, channels_out)


class Translation(nn.Module):
    """A generator at test time, with the choice of behaviour and dropout's noise as inputs."""

    def __init__(self, generator: UNet | ResNet, noise_shapes: Sequence[tuple[int, int, int]] = ()) -> None:
        super().__init__()
        self.generator = generator
        self.noise_shapes = noise_shapes
        self.noise_sizes = [math.prod(shape) for shape in noise_shapes]

    def forward(
        self,
        image: Float[Tensor, "b c h w"],
        behaviour: Int64[Tensor, " b"] | None = None,
        noise: Float[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b k h w"]:
        """Translate. `behaviour` is an index into `TEST_TIME_BEHAVIOURS`.

        `noise` is uniform in (-1, 1), all layers' in a row.
        Without `behaviour` the modules' training modes decide; without `noise` nothing is dropped.
        """
        if behaviour is None:
            return self.generator(image)
        as_in_paper = (behaviour == TEST_TIME_BEHAVIOURS.index("paper"))[:, None, None, None]
        kept: list[Tensor] = []
        if noise is not None:
            for values, shape in zip(noise.split(self.noise_sizes, dim=1), self.noise_shapes, strict=True):
                dropped = (values.unflatten(1, shape) < 2 * DROPOUT - 1) & as_in_paper
                factor = torch.where(as_in_paper, 1 / (1 - DROPOUT), 1.0).to(image.dtype)
                kept.append(torch.where(dropped, torch.zeros_like(factor), factor))
        return self.generator(image, TestTime(own_statistics=as_in_paper, kept=None if noise is None else iter(kept)))


def behaviour_inputs(norm: NormKind, dropout_shapes: Sequence[tuple[int, int, int]] = ()) -> tuple[Input, ...]:
    """Return what operations of a `Translation` take beside the image.

    The behaviour where two differ, and dropout's noise.
    """
    inputs: list[Input] = []
    if dropout_shapes or norm == "batch":
        also = (", and dropout as noise (the published results)", ", no noise") if dropout_shapes else ("", "")
        inputs.append(
            LabelInput(
                name="behaviour",
                summary=f"paper: the image's own statistics, as the authors' test script has it{also[0]}; "
                f"deterministic: the training's running statistics{also[1]}. They look different",
                names=TEST_TIME_BEHAVIOURS,
                default="paper",
            )
        )
    if dropout_shapes:
        size = sum(math.prod(shape) for shape in dropout_shapes)
        inputs.append(
            LatentInput(name="noise", summary="what dropout leaves out", shape=(size,), distribution="uniform")
        )
    return tuple(inputs)
