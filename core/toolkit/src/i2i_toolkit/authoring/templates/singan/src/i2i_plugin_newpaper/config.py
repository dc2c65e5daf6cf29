"""The sizes of New Paper: how many scales an image gets, and how large each of them is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record

FACTOR = 0.75
"""side of a scale over that of the next finer one"""


class Config(Record):
    """New Paper for one image, whose height and width `train` reads from it."""

    height: PositiveInt = 250
    """of the finest scale, pixels"""
    width: PositiveInt = 250
    coarsest: PositiveInt = 25
    """least pixels of the shorter side at the coarsest scale"""
    channels: PositiveInt = 32
    layers: Annotated[int, Field(ge=2)] = 5
    """convolutions of each generator and critic; 5 see 11x11 pixels"""

    @model_validator(mode="after")
    def _coarsest_fits(self) -> Self:
        if not self.field <= self.coarsest <= min(self.height, self.width):
            raise ValueError(
                f"coarsest is {self.coarsest} pixels; a critic of {self.layers} layers looks at {self.field}, "
                f"and the image has {self.height}x{self.width}"
            )
        return self

    @property
    def field(self) -> int:
        """Side of what one score of a critic depends on, pixels."""
        return 2 * self.layers + 1

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every scale, the coarsest first."""
        finest = int(math.log(self.coarsest / min(self.height, self.width), FACTOR))
        factors = [FACTOR ** (finest - scale) for scale in range(finest + 1)]
        return tuple((round(self.height * factor), round(self.width * factor)) for factor in factors)


PRESETS: Mapping[str, Config] = MappingProxyType(
    {"default": Config(), "small": Config(height=96, width=96, channels=16)}
)
"""The first is what `i2i-registry train` takes; small is for a first try on a CPU."""
