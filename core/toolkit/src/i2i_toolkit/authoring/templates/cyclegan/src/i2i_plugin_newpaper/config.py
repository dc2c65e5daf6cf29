"""The sizes of New Paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record

MULTIPLE = 4
"""Pixels. The generators downsample twice."""


class Config(Record):
    """New Paper at one size. The defaults are for 256 pixels."""

    image_size: Annotated[int, Field(ge=32, multiple_of=MULTIPLE)] = 256
    """side in pixels that it is trained at; it takes images of other sizes as well"""
    channels: PositiveInt = 64
    """after the first convolution"""
    blocks: PositiveInt = 9
    """residual blocks of each generator"""
    domains: tuple[str, str] = ("A", "B")
    """what the images of trainA/ and of trainB/ show"""

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        if self.domains[0] == self.domains[1] or not all(self.domains):
            raise ValueError(f"the two domains need a name each, and two different ones, not {self.domains}")
        return self


PRESETS: Mapping[str, Config] = MappingProxyType(
    {"default": Config(), "small": Config(image_size=64, channels=32, blocks=4)}
)
"""The first is what `i2i-registry train` takes; small is for a first try on a CPU."""
