"""The sizes of CycleGAN and the generators of the authors' PyTorch release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.operations import Record

Channels = Literal[1, 3]

DOWNSAMPLING = 4
"""Side of the picture over side of the generator's inner feature map."""

SMALLEST_SIDE = 8
"""Pixels. Below it the inner map has one value a side, of which there is no variance and no mirror image."""


class Config(Record):
    """CycleGAN at one size. The defaults are the paper's, for 256 pixels."""

    image_size: Annotated[int, Field(ge=SMALLEST_SIDE, multiple_of=DOWNSAMPLING)] = 256
    """side in pixels that it is trained at; it takes pictures of any other"""
    channels: PositiveInt = 64
    """after the first convolution; doubled at each of the two halvings"""
    res_blocks: PositiveInt = 9
    """9 for 256 pixels and more, 6 for 128 (paper, appendix)"""
    channels_a: Channels = 3
    """of the first domain's pictures: 3 for colour, 1 for grey"""
    channels_b: Channels = 3
    """of the second domain's"""
    dropout: bool = False
    """half of the values inside every block are dropped while training; no paper value, an option of the release"""
    directions: Literal["both", "a_to_b"] = "both"
    """a_to_b: one generator, as in each of the authors' published checkpoints; training needs both"""
    domains: tuple[str, str] = ("A", "B")
    """what the pictures of trainA/ and of trainB/ show"""

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        if self.domains[0] == self.domains[1] or not all(self.domains):
            raise ValueError(f"the two domains need a name each, and two different ones, not {self.domains}")
        return self


PRESETS: Mapping[str, Config] = MappingProxyType(
    {"resnet_9blocks": Config(), "resnet_6blocks": Config(image_size=128, res_blocks=6)}
)
"""The paper's networks for 256 and for 128 pixels."""
