"""Numbers that say which generator it is. Without torch: plugins' Configs need them to check what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GeneratorKind = Literal["unet", "resnet"]
"""Which generator: pix2pix's, or CycleGAN's."""

NormKind = Literal["batch", "instance", "none"]
"""What normalises the maps inside a generator or a discriminator; none: nothing."""

RESNET_DOWNSAMPLING = 4
"""Side of the image over side of the feature map inside the ResNet."""

FIRST_DROPOUT_LEVEL = 5
"""U-Net levels from this one on (the image is level 1) up to the last but one have dropout; also the least depth."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A generator of the release but for the channels of its images."""

    kind: GeneratorKind
    depth: int
    """unet: how often it downsamples (8 for unet_256, 7 for unet_128); resnet: residual blocks (6 or 9)"""
    channels: int
    """after the first convolution"""
    norm: NormKind
    """instance: without learned scale and offset, and a bias in every convolution, as in the release"""
    dropout: bool

    @property
    def biased(self) -> bool:
        """Whether convolutions in front of norms have a bias: with instance norm only (release)."""
        return self.norm == "instance"

    @property
    def multiple(self) -> int:
        """What the sides of an image are multiples of, in pixels."""
        return 2**self.depth if self.kind == "unet" else RESNET_DOWNSAMPLING

    @property
    def smallest_side(self) -> int:
        """Pixels. The inner map of the ResNet needs two values a side: one has no variance, and no mirror image."""
        return self.multiple if self.kind == "unet" else 2 * RESNET_DOWNSAMPLING

    def level_channels(self, level: int) -> int:
        """Width of the U-Net below level 1, 2, ...: doubled three times, then constant."""
        return self.channels * min(2 ** (level - 1), 8)

    def dropout_shapes(self, side: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width where dropout acts, in the order of the forward pass, for images of `side`."""
        if not self.dropout:
            return ()
        if self.kind == "resnet":
            inner = side // RESNET_DOWNSAMPLING
            return ((RESNET_DOWNSAMPLING * self.channels, inner, inner),) * self.depth
        levels = range(self.depth - 1, FIRST_DROPOUT_LEVEL - 1, -1)
        sides = [side // 2 ** (level - 1) for level in levels]
        return tuple((self.level_channels(level - 1), size, size) for level, size in zip(levels, sides, strict=True))

    def check_side(self, side: int) -> None:
        """Raise ValueError for a depth that no U-Net has, and for images (pixels a side) that it cannot take."""
        if self.kind == "unet" and self.depth < FIRST_DROPOUT_LEVEL:
            raise ValueError(f"a U-Net has a depth of at least {FIRST_DROPOUT_LEVEL}, not {self.depth}")
        if side % self.multiple or side < self.smallest_side:
            raise ValueError(
                f"image_size is {side}; this generator takes multiples of {self.multiple}, "
                f"at least {self.smallest_side}"
            )
