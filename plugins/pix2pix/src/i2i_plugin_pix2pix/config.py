"""The sizes of pix2pix and the generators of the authors' PyTorch release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import PositiveInt, model_validator

from i2i_runtime import Channels, Record
from i2i_toolkit import Architecture, GeneratorKind, NormKind


class Config(Record):
    """pix2pix at one size. The defaults are the paper's: the release's `unet_256` with batch norm and dropout."""

    generator: GeneratorKind = "unet"
    image_size: PositiveInt = 256
    """side in pixels that it is trained at; with dropout, and so with the paper's networks, the only one it takes"""
    depth: PositiveInt = 8
    """unet: how often it downsamples (8 for unet_256, 7 for unet_128); resnet: residual blocks (6 or 9)"""
    channels: PositiveInt = 64
    """after the first convolution"""
    input_channels: Channels = 3
    """of the images that are translated: 3 for colour, 1 for grey, 6 for two images in colour, ..."""
    output_channels: Channels = 3
    """of the images they become"""
    norm: NormKind = "batch"
    """instance: without learned scale and offset, and a bias in every convolution, as in the release"""
    dropout: bool = True
    """the paper's noise: half of the values inside the decoder (resnet: inside every block) are dropped; a U-Net of
    depth 5 has no place for it"""

    @model_validator(mode="after")
    def _size_fits_the_generator(self) -> Self:
        self.architecture.check_side(self.image_size)
        return self

    @property
    def architecture(self) -> Architecture:
        """The generator but for the channels of its images."""
        return Architecture(self.generator, self.depth, self.channels, self.norm, self.dropout)

    @property
    def any_size(self) -> bool:
        """Whether images of other sizes can be translated: dropout's noise has the size of the feature maps."""
        return not self.dropout_shapes

    @property
    def dropout_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width where dropout acts, in the order of the forward pass."""
        return self.architecture.dropout_shapes(self.image_size)

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
