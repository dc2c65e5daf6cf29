"""The sizes of New Paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record

MULTIPLE = 4
"""Pixels. The generator downsamples twice."""


class Config(Record):
    """New Paper at one size. The defaults are for 256 pixels."""

    image_size: Annotated[int, Field(ge=32, multiple_of=MULTIPLE)] = 256
    """side in pixels that it is trained at; the generator takes images of other sizes as well"""
    domains: Annotated[tuple[str, ...], Field(min_length=2)] = ("cat", "dog", "wild")
    """their names, in the order of the labels; those of the folders of training images"""
    channels: PositiveInt = 64
    """after the first convolution"""
    blocks: PositiveInt = 6
    """residual blocks of the generator"""
    latent_dim: PositiveInt = 16
    style_dim: PositiveInt = 64

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        if len(set(self.domains)) < len(self.domains) or not all(self.domains):
            raise ValueError(f"domains are {', '.join(self.domains)}; each needs a name, and no two the same")
        return self


PRESETS: Mapping[str, Config] = MappingProxyType(
    {"default": Config(), "small": Config(image_size=64, channels=16, blocks=3)}
)
"""The first is what `i2i-registry train` takes; small is for a first try on a CPU."""
