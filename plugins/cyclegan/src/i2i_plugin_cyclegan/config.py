"""The sizes of CycleGAN and the generators of the authors' PyTorch release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from i2i_runtime import Channels, Record
from i2i_toolkit import Architecture, GeneratorKind, NormKind

GREY, COLOUR = 1, 3
"""channels"""


def serves_both(channels_a: int, channels_b: int) -> bool:
    """Whether one operation can take the images of both domains: a grey one is made of one in colour."""
    return channels_a == channels_b or {channels_a, channels_b} == {GREY, COLOUR}


class Config(Record):
    """CycleGAN at one size. The defaults are the paper's, for 256 pixels."""

    generator: GeneratorKind = "resnet"
    """resnet: the paper's; unet: pix2pix's, an option of the release"""
    image_size: PositiveInt = 256
    """side in pixels that it is trained at; it takes images of any other"""
    channels: PositiveInt = 64
    """after the first convolution; doubled wherever the first layers downsample"""
    res_blocks: PositiveInt = 9
    """of a resnet: 9 for 256 pixels and more, 6 for 128 (paper, appendix)"""
    levels: PositiveInt = 8
    """of a unet: how often it downsamples (8 for unet_256, 7 for unet_128)"""
    channels_a: Channels = 3
    """of the first domain's images: 3 for colour, 1 for grey, 6 for two images in colour, ..."""
    channels_b: Channels = 3
    """of the second domain's"""
    norm: NormKind = "instance"
    """batch and none are options of the release"""
    dropout: bool = False
    """half of the values inside every block (unet: of the inner levels on the way up) are dropped while training; no
    paper value, an option of the release"""
    directions: Literal["both", "a_to_b"] = "both"
    """a_to_b: one generator, as in each of the authors' published checkpoints; training needs both"""
    domains: tuple[str, str] = ("A", "B")
    """what the images of trainA/ and of trainB/ show"""

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        if self.domains[0] == self.domains[1] or not all(self.domains):
            raise ValueError(f"the two domains need a name each, and two different ones, not {self.domains}")
        return self

    @model_validator(mode="after")
    def _one_image_serves_both_directions(self) -> Self:
        if self.directions == "both" and not serves_both(self.channels_a, self.channels_b):
            raise ValueError(
                f"domains of {self.channels_a} and {self.channels_b} channels cannot be one model of both directions: "
                f"use one number for both, or {GREY} and {COLOUR}, or a model of one direction (directions=a_to_b)"
            )
        return self

    @model_validator(mode="after")
    def _size_fits_the_generator(self) -> Self:
        self.architecture.check_side(self.image_size)
        return self

    @property
    def image_channels(self) -> int:
        """Of the images that are translated, in either direction: colour where one domain is grey."""
        return self.channels_a if self.directions == "a_to_b" else max(self.channels_a, self.channels_b)

    @property
    def translated_channels(self) -> int | None:
        """Of the images they become; None: the directions differ."""
        differ = self.directions == "both" and self.channels_a != self.channels_b
        return None if differ else self.channels_b

    @property
    def architecture(self) -> Architecture:
        """Both generators but for the channels of their images."""
        depth = self.res_blocks if self.generator == "resnet" else self.levels
        return Architecture(self.generator, depth, self.channels, self.norm, self.dropout)


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "resnet_9blocks": Config(),
        "resnet_6blocks": Config(image_size=128, res_blocks=6),
        "unet_256": Config(generator="unet"),
    }
)
"""The paper's networks for 256 and for 128 pixels, and pix2pix's."""
