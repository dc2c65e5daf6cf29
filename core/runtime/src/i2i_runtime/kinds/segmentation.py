"""A label map: which class each pixel of the result is of (SPADE, section 3; GauGAN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.image.index_maps import ClassColour, IndexMap, read_index_map, resized_map
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.label import ClassNames
from i2i_runtime.records import MAX_PIXELS, Side

Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]

UNKNOWN = 255
"""What data sets write where no class is known."""

_SHOWN = 5


class SegmentationInput(InputKind):
    """The class of every pixel: int64 [n, 1, h, w], indices into `names`; a graph makes the one-hot map of it.

    A caller gives a path, bytes, a PIL image or an array: of indices, grey or [h, w]; or, where there are `colours`, in
    these, with a palette or without one. Without `colours` a palette image gives its indices.
    """

    kind: Literal["segmentation"] = "segmentation"
    height: Side
    width: Side
    names: ClassNames
    colours: tuple[Colour, ...] = ()
    """one for each class, and with `has_unknown` perhaps one more, for unknown; empty: maps are indices"""
    has_unknown: bool = False
    """whether 255 is one more class, the last index; else it is refused"""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"{self.name}: a map of more than {MAX_PIXELS:,} pixels")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"the names {self.names} repeat")
        if len(self.names) > UNKNOWN and self.has_unknown:
            raise ValueError(f"{len(self.names)} classes, and {UNKNOWN} stands for an unknown one")
        if self.colours and len(self.colours) not in {len(self.names), self.count}:
            raise ValueError(f"{len(self.colours)} colours for {len(self.names)} classes")
        if len(set(self.colours)) != len(self.colours):
            repeated = next(colour for colour in self.colours if self.colours.count(colour) > 1)
            raise ValueError(f"the colour {repeated} stands for several classes; without colours, maps are indices")
        return self

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    @property
    def count(self) -> int:
        """Classes, with the unknown one."""
        return len(self.names) + self.has_unknown

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the indices."""
        del inputs
        return {self.name: Form((BATCH, 1, self.height, self.width), "index", 0, self.count - 1)}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Read each map once, however many items it is for. Raises OptionError or ImageError."""
        classes = self._class_colours()
        maps = made_once(given_maps(self, gathering), lambda source: read_index_map(source, classes))
        indices = made_once(maps, lambda numbers: self._indices(numbers)[None].astype(np.int64))
        return {self.name: SegmentationColumn(indices, [(len(numbers), numbers.shape[1]) for numbers in maps])}

    def _class_colours(self) -> list[ClassColour]:
        named = [*enumerate(self.names), (UNKNOWN, "unknown")][: len(self.colours)]
        return [ClassColour(*each, colour) for each, colour in zip(named, self.colours, strict=True)]

    def _indices(self, numbers: IndexMap) -> IndexMap:
        known = (numbers >= 0) & (numbers < len(self.names))
        wrong = np.unique(numbers[~known & (numbers != UNKNOWN)] if self.has_unknown else numbers[~known])
        if len(wrong):
            told = ", ".join(map(str, wrong[:_SHOWN]))
            unknown = f", and {UNKNOWN} for unknown" if self.has_unknown else ""
            raise ImageError(
                found=f"the map {self.name!r} has the class {told}", expected=f"0 to {len(self.names) - 1}{unknown}"
            )
        return resized_map(np.where(known, numbers, len(self.names)).astype(np.int32), self.height, self.width)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path."""
        return (CommandOption(self.name, self.summary, "path", required=True),)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return every class in turn, from left to right."""
        del images
        row = np.arange(self.width) % len(self.names)
        return (np.broadcast_to(row, (self.height, self.width)).astype(np.int32),)

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return the maps where every pixel is of the next class, and where it is of the one before."""
        indices = tensor.astype(np.int64)
        return [(indices + step) % self.count for step in (1, -1) if self.count > 1]


@dataclass(frozen=True, slots=True)
class SegmentationColumn(ArrayColumn):
    """Label maps, and the size that each had before it was brought to that of the graph."""

    given: Sequence[tuple[int, int]]
    """height and width"""


def given_maps(value: InputKind, gathering: Gathering) -> list[ImageSource]:
    """Return what the caller gave as the map of each item. Raises OptionError for nothing, or another number."""
    given = gathering.given(value.name)
    if given is None:
        raise OptionError(found=f"the map {value.name!r} is missing", fix=f"pass {value.name}=...")
    return gathering.one_each(value.name, given, "maps", ": one for each item")
