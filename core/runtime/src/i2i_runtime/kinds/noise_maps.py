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
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once, vectors
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.label import one_of
from i2i_runtime.records import MAX_PIXELS, Side
from i2i_runtime.type_guards import is_list_or_tuple, is_text_or_texts

MapShape = tuple[Side, Side, Side]
"""channels, height and width"""

_WAYS = ("random", "zeros")


class NoiseMapsInput(RandomInput):
    """A map for each layer, called `<name>_0`, `<name>_1`, ...: float32 [n, channels, height, width].

    A caller says "random" (N(0, 1) from the seed) or "zeros", for all items or in a list for each, or gives the maps:
    a list of one array for each layer, or all numbers in a row. One array is for all items, or has one for each along a
    first axis. Where some layers are to be switched off by a word, let them be another input.
    """

    kind: Literal["noise_maps"] = "noise_maps"
    shapes: Annotated[tuple[MapShape, ...], Field(min_length=1, max_length=64)]
    """of each layer's map"""
    default: Literal["random", "zeros"] = "random"

    is_typed = True

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
        layers = enumerate(self._layers(gathering))
        return {f"{self.name}_{layer}": ArrayColumn(maps) for layer, maps in layers}

    def held(self, gathering: Gathering) -> Option:
        """Return the maps of the first item, layer by layer."""
        layers = range(len(self.shapes))
        return [gathering.column(f"{self.name}_{layer}", ArrayColumn).tensor(0) for layer in layers]

    def _layers(self, gathering: Gathering) -> list[list[NDArray[np.float32]]]:
        """Return each layer's maps, those of all items. Raises OptionError."""
        given = gathering.given(self.name)
        way = self.default if given is None else given
        if is_text_or_texts(way):
            rows = self._made(gathering, gathering.one_each(self.name, way))
        elif is_list_or_tuple(way):
            return self._given(way, gathering.count)
        else:
            rows = vectors(self.name, (self.total,), way, gathering.count)
        items = made_once(rows, self._split)
        return [[maps[layer] for maps in items] for layer in range(len(self.shapes))]

    def _made(self, gathering: Gathering, ways: Sequence[object]) -> list[NDArray[np.float32]]:
        """Return all numbers of each item in a row, drawn or zeros. Raises OptionError for another way."""
        zeros = np.zeros(self.total, dtype=np.float32)
        drawn = [one_of(self.name, _WAYS)(str(way)) == "random" for way in ways]
        return [gathering.drawn(index)[self.name] if is_drawn else zeros for index, is_drawn in enumerate(drawn)]

    def _split(self, row: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the map of each layer, of all numbers in a row."""
        ends = np.cumsum([prod(shape) for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(row, ends), self.shapes, strict=True)]

    def _given(self, layers: Sequence[object], count: int) -> list[list[NDArray[np.float32]]]:
        if len(layers) != len(self.shapes):
            raise OptionError(
                found=f"{len(layers)} maps for {self.name!r}", expected=f"{len(self.shapes)}, one for each layer"
            )
        return [
            vectors(f"{self.name}[{layer}]", shape, given, count)
            for layer, (shape, given) in enumerate(zip(self.shapes, layers, strict=True))
        ]

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return the way, and the seed that all random inputs share."""
        help_ = f"{self.summary} (default: {self.default})".strip()
        way = CommandOption(self.name, help_, "choice", one_of(self.name, _WAYS), metavar="[random|zeros]")
        return (way, *super().command_options())

    def from_text(self, text: str) -> Option:
        """Return one of the ways. Raises OptionError."""
        return one_of(self.name, _WAYS)(text)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return the ways, the default first."""
        del images
        return sorted(_WAYS, key=lambda way: way != self.default)
