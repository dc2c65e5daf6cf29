"""A map of random numbers, whose sides follow the size of the result."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.kinds.base import Gathering, Inputs, RandomInput
from i2i_runtime.kinds.forms import BATCH, Axis, Form
from i2i_runtime.kinds.size import ResultSize, SizeInput, size_input_of, size_of_result
from i2i_runtime.records import MAX_PIXELS, MAX_SIDE, Side


class NoiseInput(RandomInput):
    """A map of random numbers: float [n, channels, h, w], N(0, 1) from the call's seed.

    Its sides follow the size of the result (`SizeInput`); a pyramid has one map for each scale.
    """

    kind: Literal["noise"] = "noise"
    channels: Annotated[PositiveInt, Field(le=MAX_SIDE)]
    height: Side
    """rows at the operation's own size, without `border`"""
    width: Side
    border: Annotated[NonNegativeInt, Field(le=MAX_SIDE)] = 0
    """rows and columns that are added at every size, both sides together"""
    default: Literal["normal", "zeros"] = "normal"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.channels * (self.height + self.border) * (self.width + self.border) > MAX_PIXELS:
            raise ValueError(f"{self.name}: a noise map of more than {MAX_PIXELS:,} numbers")
        return self

    @property
    def is_drawn(self) -> bool:
        """Unless zeros are what it is where nobody gives another."""
        return self.default == "normal"

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the map, free where the size of the result is."""
        size = size_input_of(list(inputs.values()))
        height, width = self.height + self.border, self.width + self.border
        if size is None:
            return {self.name: Form((BATCH, self.channels, height, width), "normal")}
        _, least_height, least_width = self.shape_for(size, size.smallest)
        sides = (
            Axis(f"{self.name}_height", height, minimum=least_height),
            Axis(f"{self.name}_width", width, minimum=least_width),
        )
        return {self.name: Form((BATCH, self.channels, *sides), "normal")}

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Return the size of the result."""
        return frozenset(name for name, value in inputs.items() if isinstance(value, SizeInput))

    def shape_of(self, gathering: Gathering, index: int) -> tuple[int, ...]:
        """As the size of the item's result asks."""
        return self.shape_for(size_input_of(gathering.inputs), size_of_result(gathering, index))

    def shape_for(self, size: SizeInput | None, wanted: ResultSize | None) -> tuple[int, int, int]:
        """Channels, height and width for a result of the wanted size."""
        height, width = self.height, self.width
        if size and wanted:
            height, width = size.rounded(height, wanted.vertical), size.rounded(width, wanted.horizontal)
        return self.channels, height + self.border, width + self.border

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """N(0, 1), or zeros."""
        if self.is_drawn:
            return generator.standard_normal(shape, dtype=np.float32)
        return np.zeros(shape, np.float32)
