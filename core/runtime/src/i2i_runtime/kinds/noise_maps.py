"""Noise maps of fixed sizes, one for each layer of a network (StyleGAN, section 2; ALAE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, Inputs, Option, RandomInput
from i2i_runtime.kinds.columns import ArrayColumn, Column, vectors
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.label import one_of
from i2i_runtime.records import MAX_PIXELS, Side

MapShape = tuple[Side, Side, Side]
"""channels, height and width"""

_WAYS = ("random", "zeros")


class NoiseMapsInput(RandomInput):
    """A map for each layer, called `<name>_0`, `<name>_1`, ...: float32 [n, channels, height, width].

    A caller says "random" (N(0, 1) from the seed) or "zeros", or gives the maps: one array for each layer, or all
    numbers in a row.
    """

    kind: Literal["noise_maps"] = "noise_maps"
    shapes: Annotated[tuple[MapShape, ...], Field(min_length=1, max_length=64)]
    """of each layer's map"""
    default: Literal["random", "zeros"] = "random"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.total > MAX_PIXELS:
            raise ValueError(f"{self.name}: maps of more than {MAX_PIXELS:,} numbers")
        return self

    @property
    def total(self) -> int:
        """Numbers in all maps of an item."""
        return sum(map(prod, self.shapes))

    @property
    def is_drawn(self) -> bool:
        """Unless zeros are what an item has by itself."""
        return self.default == "random"

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return a map for each layer."""
        del inputs
        return {f"{self.name}_{layer}": Form((BATCH, *shape), "normal") for layer, shape in enumerate(self.shapes)}

    def shape_of(self, gathering: Gathering, index: int) -> tuple[int, ...]:
        """Return that of all numbers in a row."""
        del gathering, index
        return (self.total,)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Draw N(0, 1)."""
        return generator.standard_normal(shape, dtype=np.float32)

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Take what is given, for all items or for each, or draw it."""
        rows = self._rows(gathering)
        ends = np.cumsum([prod(shape) for shape in self.shapes])[:-1]
        maps = [np.split(row, ends) for row in rows]
        return {
            f"{self.name}_{layer}": ArrayColumn([each[layer].reshape(shape) for each in maps])
            for layer, shape in enumerate(self.shapes)
        }

    def _rows(self, gathering: Gathering) -> list[NDArray[np.float32]]:
        """Return all numbers of each item in a row. Raises OptionError."""
        given = gathering.given(self.name)
        way = self.default if given is None else given
        if isinstance(way, str):
            if one_of(self.name, _WAYS)(way) == "random":
                return [gathering.drawn(index)[self.name] for index in range(gathering.count)]
            return [np.zeros(self.total, dtype=np.float32)] * gathering.count
        if isinstance(way, (list, tuple)):
            return self._joined(way, gathering.count)
        return vectors(self.name, (self.total,), way, gathering.count)

    def _joined(self, layers: Sequence[object], count: int) -> list[NDArray[np.float32]]:
        if len(layers) != len(self.shapes):
            raise OptionError(
                found=f"{len(layers)} maps for {self.name!r}", expected=f"{len(self.shapes)}, one for each layer"
            )
        maps = [
            vectors(f"{self.name}[{layer}]", shape, given, count)
            for layer, (shape, given) in enumerate(zip(self.shapes, layers, strict=True))
        ]
        return [np.concatenate([each.ravel() for each in item]) for item in zip(*maps, strict=True)]

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return the way, and the seed that all random inputs share."""
        help_ = f"{self.summary} (default: {self.default})".strip()
        way = CommandOption(self.name, help_, "choice", one_of(self.name, _WAYS), metavar="[random|zeros]")
        return (way, *super().command_options())

    def from_text(self, text: str) -> Option:
        """Return one of the ways. Raises OptionError."""
        return one_of(self.name, _WAYS)(text)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return nothing: the runtime makes them."""
        del images
        return ()
