"""The discriminators: on patches of an image, and on single pixels.

Written from the papers and checked against tensors recorded from the authors' PyTorch release.

Shapes: b batch, c channels, h and w height and width, y and x the same in patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_registry.errors import TrainingError
from i2i_runtime.records import Record
from i2i_toolkit.layers.initialisation import initialise_normal
from i2i_toolkit.losses.adversarial import least_squares, logistic, wasserstein
from i2i_toolkit.networks.architecture import NormKind
from i2i_toolkit.networks.generators import LEAK, make_norm

DiscriminatorKind = Literal["patch", "pixel"]
"""What a discriminator judges: patches of an image, or every pixel by itself."""

Objective = Literal["vanilla", "lsgan", "wgangp"]
"""The release's names of adversarial losses; `OBJECTIVES` has them."""

OBJECTIVES: Mapping[Objective, Callable[[Tensor, float], Tensor]] = {
    "vanilla": logistic,
    "lsgan": least_squares,
    "wgangp": wasserstein,
}
"""The release's losses of scores against 1 (real) or 0 (generated), under its names."""

MOST_DOUBLINGS = 8
"""A discriminator is at most this many times as wide as after its first convolution (release)."""


class PatchDiscriminator(nn.Module):
    """Judges every patch of an image (pix2pix, section 3.2.2); three layers that downsample see 70x70 pixels each."""

    def __init__(self, channels_in: int, channels: int, layers: int, norm: NormKind) -> None:
        super().__init__()
        bias = norm == "instance"
        widths = [channels * min(2**i, MOST_DOUBLINGS) for i in range(layers + 1)]
        self.first = nn.Conv2d(channels_in, channels, 4, stride=2, padding=1)
        strides = [2] * (layers - 1) + [1]  # the last of them does not downsample
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=stride, padding=1, bias=bias)
            for i, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(make_norm(norm, width) for width in widths[1:])
        self.to_logits = nn.Conv2d(widths[-1], 1, 4, padding=1)
        initialise_normal(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 y x"]:
        """Logits of being real, one per patch, for an image, or a pair of them stacked along the channels."""
        x = F.leaky_relu(self.first(x), LEAK)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK)
        return self.to_logits(x)


class PixelDiscriminator(nn.Module):
    """Judges every pixel by itself (pix2pix, section 4.4: 1x1 patches)."""

    def __init__(self, channels_in: int, channels: int, norm: NormKind) -> None:
        super().__init__()
        bias = norm == "instance"
        self.first = nn.Conv2d(channels_in, channels, 1)
        self.conv = nn.Conv2d(channels, 2 * channels, 1, bias=bias)
        self.norm = make_norm(norm, 2 * channels)
        self.to_logits = nn.Conv2d(2 * channels, 1, 1, bias=bias)
        initialise_normal(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits of being real, one per pixel, for an image, or a pair of them stacked along the channels."""
        x = F.leaky_relu(self.first(x), LEAK)
        return self.to_logits(F.leaky_relu(self.norm(self.conv(x)), LEAK))


def make_discriminator(
    kind: DiscriminatorKind, channels_in: int, channels: int, layers: int, norm: NormKind
) -> PatchDiscriminator | PixelDiscriminator:
    """Return a discriminator of `channels` after its first convolution; `layers` are the patch discriminator's."""
    if kind == "pixel":
        return PixelDiscriminator(channels_in, channels, norm)
    return PatchDiscriminator(channels_in, channels, layers, norm)


def smallest_side(layers: int) -> int:
    """Pixels a side that leave the last norm of a patch discriminator a map of 2x2 values."""
    return 3 * 2**layers


class PatchDiscriminatorOptions(Record):
    """Options of the discriminators of pix2pix, which CycleGAN and others took over."""

    objective: Objective
    discriminator: DiscriminatorKind = "patch"
    discriminator_layers: Annotated[int, Field(ge=1, le=6)] = 3
    """of a patch discriminator; 3 sees 70x70 pixels, 1 sees 16x16, 5 sees 286x286"""
    discriminator_channels: PositiveInt = 64
    """after the first convolution"""

    @property
    def adversarial(self) -> Callable[[Tensor, float], Tensor]:
        """The loss of logits against 1 (real) or 0 (generated)."""
        return OBJECTIVES[self.objective]

    def make_discriminator(self, channels_in: int, norm: NormKind) -> PatchDiscriminator | PixelDiscriminator:
        """Build a discriminator of images with so many channels."""
        channels, layers = self.discriminator_channels, self.discriminator_layers
        return make_discriminator(self.discriminator, channels_in, channels, layers, norm)

    def check_image_size(self, image_size: int, multiple: int) -> None:
        """Refuse images that leave the last norm nothing to compare.

        Args:
            image_size: pixels a side.
            multiple: what the model's sides are multiples of.

        Raises TrainingError with a size that is large enough.
        """
        smallest = smallest_side(self.discriminator_layers)
        if self.discriminator == "patch" and image_size < smallest:
            raise TrainingError(
                found=f"patch discriminators of {self.discriminator_layers} layers and {image_size} pixels",
                expected=f"at least {smallest} pixels, so that their last norm has values to compare",
                fix=f"--set image_size={-(-smallest // multiple) * multiple}, fewer discriminator_layers, or "
                "--set discriminator=pixel",
            )
