"""A random vector."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.kinds.base import Gathering, Inputs, RandomInput
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.records import MAX_PIXELS

MAX_RANK = 8
"""Axes of a vector."""


class LatentInput(RandomInput):
    """A random vector: float [n, *shape]. Drawn from the seed when the caller gives none."""

    kind: Literal["latent"] = "latent"
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=MAX_RANK)]
    distribution: Literal["normal", "uniform"] = "normal"
    """normal: N(0, 1); uniform: U(-1, 1)."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if prod(self.shape) > MAX_PIXELS:
            raise ValueError(f"{self.name}: a vector of more than {MAX_PIXELS:,} numbers")
        return self

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the vector."""
        del inputs
        return {self.name: Form((BATCH, *self.shape), self.distribution)}

    def shape_of(self, gathering: Gathering, index: int) -> tuple[int, ...]:
        """Return the same in every item."""
        del gathering, index
        return self.shape

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Of its distribution."""
        return drawn_from(generator, self.distribution, shape)


def drawn_from(
    generator: np.random.Generator, distribution: Literal["normal", "uniform"], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """N(0, 1) or U(-1, 1)."""
    if distribution == "normal":
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.uniform(-1, 1, shape).astype(np.float32)
