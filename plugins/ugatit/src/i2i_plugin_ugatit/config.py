"""The sizes of U-GAT-IT and the two models of the authors' release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record

DOWNSAMPLING = 4
"""Side of the image over side of the generator's inner feature map."""

SMALLEST_SIDE = 8
"""Pixels. Below it the inner map has one value, of which there is no variance."""


class Config(Record):
    """U-GAT-IT at one size. The defaults are the paper's; `pooled_style` makes the release's light model."""

    image_size: Annotated[int, Field(ge=SMALLEST_SIDE, multiple_of=DOWNSAMPLING)] = 256
    """side in pixels that it is trained at; the only one that the full model takes"""
    channels: PositiveInt = 64
    """after the first convolution; doubled wherever they downsample, which is twice"""
    res_blocks: PositiveInt = 4
    """in the encoder, and as many in the decoder"""
    pooled_style: bool = False
    """gamma and beta from the average of the feature map instead of from all of it: 10.6 million parameters instead of
    279 million at 256 pixels, and images of any size"""
    domains: tuple[str, str] = ("A", "B")
    """what the images of trainA/ and of trainB/ show"""

    @model_validator(mode="after")
    def _domains_differ(self) -> Config:
        if self.domains[0] == self.domains[1] or not all(self.domains):
            raise ValueError(f"the two domains need a name each, and two different ones, not {self.domains}")
        return self

    @property
    def style_channels(self) -> int:
        """Channels of the inner feature map, where attention and style work."""
        return DOWNSAMPLING * self.channels

    @property
    def inner_size(self) -> int:
        """Side of the inner feature map when the image has `image_size`."""
        return self.image_size // DOWNSAMPLING


PRESETS: Mapping[str, Config] = MappingProxyType({"light": Config(pooled_style=True), "full": Config()})
"""The release's `--light` model, and the paper's."""
