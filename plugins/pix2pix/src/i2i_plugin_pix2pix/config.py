"""The sizes of pix2pix and the generators of the authors' PyTorch release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from i2i_runtime.operations import Record

Channels = Literal[1, 3]
Norm = Literal["batch", "instance"]

RESNET_DOWNSAMPLING = 4
"""Side of the picture over side of the feature map inside the ResNet generator."""

FIRST_DROPOUT_LEVEL = 5
"""U-Net levels from this one on (the picture is level 1) up to the last but one have dropout; also the least depth."""


class Config(Record):
    """pix2pix at one size. The defaults are the paper's: the release's `unet_256` with batch norm and dropout."""

    generator: Literal["unet", "resnet"] = "unet"
    image_size: PositiveInt = 256
    """side in pixels that it is trained at; with dropout, and so with the paper's networks, the only one it takes"""
    depth: PositiveInt = 8
    """unet: how often the side is halved (8 for unet_256, 7 for unet_128); resnet: residual blocks (6 or 9)"""
    channels: PositiveInt = 64
    """after the first convolution"""
    input_channels: Channels = 3
    output_channels: Channels = 3
    norm: Norm = "batch"
    """instance: without learned scale and offset, and a bias in every convolution, as in the release"""
    dropout: bool = True
    """the paper's noise: half of the values inside the decoder (resnet: inside every block) are dropped; a U-Net of
    depth 5 has no place for it"""

    @model_validator(mode="after")
    def _size_fits_the_generator(self) -> Self:
        if self.generator == "unet" and self.depth < FIRST_DROPOUT_LEVEL:
            raise ValueError(f"a U-Net has a depth of at least {FIRST_DROPOUT_LEVEL}, not {self.depth}")
        if self.image_size % self.multiple or self.image_size < self.smallest_side:
            raise ValueError(
                f"image_size is {self.image_size}; this generator takes multiples of {self.multiple}, "
                f"at least {self.smallest_side}"
            )
        return self

    @property
    def multiple(self) -> int:
        """What the sides of a picture are multiples of, in pixels."""
        return 2**self.depth if self.generator == "unet" else RESNET_DOWNSAMPLING

    @property
    def smallest_side(self) -> int:
        """Pixels. The inner map of the ResNet needs two values a side: one has no variance, and no mirror image."""
        return self.multiple if self.generator == "unet" else 2 * RESNET_DOWNSAMPLING

    @property
    def any_size(self) -> bool:
        """Whether pictures of other sizes can be translated: dropout's noise has the size of the feature maps."""
        return not self.dropout_shapes

    @property
    def dropout_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width where dropout acts, in the order of the forward pass."""
        if not self.dropout:
            return ()
        if self.generator == "resnet":
            side = self.image_size // RESNET_DOWNSAMPLING
            return ((RESNET_DOWNSAMPLING * self.channels, side, side),) * self.depth
        levels = range(self.depth - 1, FIRST_DROPOUT_LEVEL - 1, -1)
        sides = [self.image_size // 2 ** (level - 1) for level in levels]
        return tuple((self.level_channels(level - 1), side, side) for level, side in zip(levels, sides, strict=True))

    def level_channels(self, level: int) -> int:
        """Width of the U-Net below level 1, 2, ...: doubled three times, then constant."""
        return self.channels * min(2 ** (level - 1), 8)

    @property
    def behaviours_differ(self) -> bool:
        """Whether the paper's test-time behaviour differs from the deterministic one."""
        return bool(self.dropout_shapes) or self.norm == "batch"


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "unet_256": Config(),
        "unet_128": Config(image_size=128, depth=7),
        "resnet_9blocks": Config(generator="resnet", depth=9),
        "resnet_6blocks": Config(generator="resnet", depth=6),
    }
)
"""The release's generators, each with its defaults for pix2pix; the first is the paper's."""
