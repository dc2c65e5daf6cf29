"""The sizes of New Paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record


class Config(Record):
    """New Paper at one size. The defaults are for 256 pixels."""

    image_size: Annotated[int, Field(ge=32)] = 256
    """side in pixels that it is trained at; it takes images of other sizes as well"""
    depth: Annotated[int, Field(ge=2)] = 7
    """how often the generator downsamples"""
    channels: PositiveInt = 64
    """after the first convolution"""

    @model_validator(mode="after")
    def _size_fits_the_depth(self) -> Self:
        if self.image_size % self.multiple or self.image_size < self.smallest_side:
            raise ValueError(
                f"image_size is {self.image_size}; with a depth of {self.depth} it is a multiple of {self.multiple}, "
                f"at least {self.smallest_side}"
            )
        return self

    @property
    def multiple(self) -> int:
        """What the sides of an image are multiples of, in pixels."""
        return 2**self.depth

    @property
    def smallest_side(self) -> int:
        """Pixels. The deepest map needs two values a side: an instance norm makes a single one zero."""
        return 2 * self.multiple


PRESETS: Mapping[str, Config] = MappingProxyType(
    {"default": Config(), "small": Config(image_size=64, depth=5, channels=32)}
)
"""The first is what `i2i-registry train` takes; small is for a first try on a CPU."""
