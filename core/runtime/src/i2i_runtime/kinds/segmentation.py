"""A label map: which class each pixel of the result is of (SPADE, section 3; GauGAN)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.image.index_maps import read_index_map
from i2i_runtime.image.reading import ImageSource, read_pixels
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.label import ClassNames
from i2i_runtime.records import Side

Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]

UNKNOWN = 255
"""What data sets write where no class is known."""

_SHOWN = 5


class SegmentationInput(InputKind):
    """The class of every pixel: int64 [n, 1, h, w], indices into `names`; a graph makes the one-hot map of it.

    A caller gives an index PNG, a palette PNG, an image in the colours of the classes, or an array of indices [h, w].
    With `has_edges` there is `<name>_edges` as well, float32 [n, 1, h, w]: 1 where a pixel and one beside it are of
    two instances of `<name>_instances`, else 0 (SPADE, appendix).
    """

    kind: Literal["segmentation"] = "segmentation"
    height: Side
    width: Side
    names: ClassNames
    colours: tuple[Colour, ...] = ()
    """one for each class, for maps in colours; empty: maps are indices"""
    has_unknown: bool = False
    """whether 255 is one more class, the last index; else it is refused"""
    has_edges: bool = False

    @model_validator(mode="after")
    def _coloured(self) -> Self:
        if self.colours and not len(self.colours) == len(set(self.colours)) == len(self.names):
            raise ValueError(f"{len(set(self.colours))} colours for {len(self.names)} classes")
        return self

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    @property
    def option_names(self) -> tuple[str, ...]:
        """The map, and that of the instances."""
        return (self.name, self._instances) if self.has_edges else (self.name,)

    @property
    def _instances(self) -> str:
        return f"{self.name}_instances"

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the indices, and the edges between instances."""
        del inputs
        axes = (BATCH, 1, self.height, self.width)
        forms = {self.name: Form(axes, "index", 0, len(self.names) - 1 + self.has_unknown)}
        return forms | ({f"{self.name}_edges": Form(axes, "whole", 0, 1)} if self.has_edges else {})

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Read each map once, however many items it is for. Raises OptionError or ImageError."""
        columns: dict[str, Column] = {self.name: ArrayColumn(self._each(gathering, self.name, self._classes))}
        if self.has_edges:
            edges = self._each(gathering, self._instances, lambda source: edges_of(self._resized(_indices(source))))
            columns[f"{self.name}_edges"] = ArrayColumn(edges)
        return columns

    def _each(
        self, gathering: Gathering, name: str, make: Callable[[object], NDArray[np.generic]]
    ) -> list[NDArray[np.generic]]:
        given = gathering.given(name)
        if given is None:
            raise OptionError(found=f"the map {name!r} is missing", fix=f"pass {name}=...")
        return made_once(gathering.one_each(name, given, "maps", ": one for each item"), make)

    def _classes(self, source: object) -> NDArray[np.int64]:
        found = self._by_colour(source) if self.colours and _is_coloured(source) else _indices(source)
        indices = np.where(found == UNKNOWN, len(self.names), found) if self.has_unknown else found
        wrong = np.unique(indices[(indices < 0) | (indices >= len(self.names) + self.has_unknown)])
        if len(wrong):
            told = ", ".join(map(str, wrong[:_SHOWN]))
            unknown = f", and {UNKNOWN} for unknown" if self.has_unknown else ""
            raise ImageError(
                found=f"the map {self.name!r} has the class {told}", expected=f"0 to {len(self.names) - 1}{unknown}"
            )
        return self._resized(indices)[None].astype(np.int64)

    def _by_colour(self, source: object) -> NDArray[np.int32]:
        """Return the index of each pixel's colour. Raises ImageError for a colour of no class."""
        pixels = read_pixels(source, 3).astype(np.int32)  # pyright: ignore[reportArgumentType] - it refuses others
        coded = pixels @ np.array([1 << 16, 1 << 8, 1])
        codes = np.array([(red << 16) + (green << 8) + blue for red, green, blue in self.colours])
        order = np.argsort(codes)
        places = np.searchsorted(codes[order], coded).clip(max=len(codes) - 1)
        strange = codes[order][places] != coded
        if strange.any():
            first = tuple(int(level) for level in pixels[strange][0])
            raise ImageError(
                found=f"the map {self.name!r} has the colour {first} in {int(strange.sum())} pixels",
                expected=f"the {len(codes)} colours of the classes, exactly",
                fix="save the map as PNG, without smoothing; JPEG blurs colours",
            )
        return order[places].astype(np.int32)

    def _resized(self, indices: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the map at its size: indices are never mixed, the nearest one is taken."""
        whole = Image.fromarray(indices.astype(np.int32))
        return np.asarray(whole.resize((self.width, self.height), Image.Resampling.NEAREST), dtype=np.int32)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path for each map."""
        options = [CommandOption(self.name, self.summary, "path", required=True)]
        if self.has_edges:
            options.append(CommandOption(self._instances, "a map of the instances", "path", required=True))
        return tuple(options)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return every class in turn, from left to right."""
        del images
        row = np.arange(self.width) % len(self.names)
        return (np.broadcast_to(row, (self.height, self.width)).astype(np.uint8),)


def edges_of(instances: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return [1, h, w]: 1 where one of the four pixels beside it is of another instance (SPADE's release)."""
    edges = np.zeros(instances.shape, dtype=bool)
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges[None].astype(np.float32)


def _is_coloured(source: object) -> bool:
    """Tell an image in colours from a map of indices. Raises ImageError for what is no image."""
    if isinstance(source, np.ndarray):
        return source.ndim > 2  # noqa: PLR2004 - height and width
    if isinstance(source, Image.Image):
        return source.mode in {"RGB", "RGBA"}
    try:
        _indices(source)
    except ImageError as error:
        return "is an image of mode" in error.found
    return False


def _indices(source: object) -> NDArray[np.int32]:
    """Return the indices [h, w] of a file, an image or an array. Raises ImageError."""
    if isinstance(source, str | os.PathLike):
        return read_index_map(source)
    array = np.asarray(source)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):  # noqa: PLR2004 - height and width
        raise ImageError(
            found=f"a map of {array.dtype} and shape {list(array.shape)}", expected="whole numbers [height, width]"
        )
    return array.astype(np.int32)
