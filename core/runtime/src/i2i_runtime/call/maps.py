"""The values of a call whose shape follows a size: noise maps, masks and sampling grids, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.call.sizes import Wanted, wanted_size
from i2i_runtime.image.fitting import Fitted
from i2i_runtime.image.masks import mask_of
from i2i_runtime.image.sampling_grids import Shifts, sampling_grid
from i2i_runtime.kinds.spatial import MaskInput
from i2i_runtime.schema.operations import GridInput, Operation

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placed:
    """An image of a call at the size of the graph, and the size it came with."""

    fitted: Fitted
    size: tuple[int, int]
    """width and height, pixels"""
    also: Map | None = None
    """the tensor of the same image at one more size, where the input makes it"""

    @property
    def fed_size(self) -> tuple[int, int]:
        """Height and width that the graph sees."""
        height, width = self.fitted.pixels.shape[:2]
        return height, width


Images = Mapping[str, Placed]
"""image input -> the item's image"""


@dataclass(slots=True)
class Fields:
    """Makes the masks and grids of a call; what is the same for several items is made once, and is one array."""

    operation: Operation
    options: Mapping[str, object]
    _masks: dict[tuple[str, int, int], Map] = field(default_factory=dict[tuple[str, int, int], Map])
    _grids: dict[tuple[object, ...], tuple[Map, Map]] = field(default_factory=dict[tuple[object, ...], tuple[Map, Map]])

    def wanted(self, images: Images, scalars: Mapping[str, float]) -> Wanted | None:
        """The size of an item's result; None where nobody chooses one. Raises OptionError for one that cannot be."""
        value = self.operation.size
        if value is None:
            return None
        own = value.height, value.width
        if value.image is not None:
            height, width = images[value.image].fed_size
            own = height, _shifts(self.operation, scalars).padded_width(width)
        return wanted_size(value, self.options, own)

    def mask(self, value: MaskInput, image: Image.Image, placed: Placed) -> Map:
        """[1, h, w]. Raises ImageError as `mask_of` does."""
        key = (value.name, id(image), id(placed.fitted))
        if key not in self._masks:
            self._masks[key] = mask_of(value, image, placed.fitted, placed.size)
        return self._masks[key]

    def grids(self, images: Images, scalars: Mapping[str, float], wanted: Wanted | None) -> dict[str, Map]:
        """Every grid of an item, and its coverage where that has a name. Raises OptionError as `Shifts.check` does."""
        made: dict[str, Map] = {}
        for value in _grid_inputs(self.operation):
            source = images[value.image].fed_size
            result = (wanted.height, wanted.width) if wanted else source
            shifts = _shifts_of(value, scalars)
            key = (source, result, shifts.left, shifts.right)
            if key not in self._grids:
                self._grids[key] = sampling_grid(source, result, shifts)
            made[value.name], coverage = self._grids[key]
            if value.coverage:
                made[value.coverage] = coverage
        return made


def _grid_inputs(operation: Operation) -> Sequence[GridInput]:
    return [value for value in operation.inputs if isinstance(value, GridInput)]


def _shifts(operation: Operation, scalars: Mapping[str, float]) -> Shifts:
    return next((_shifts_of(value, scalars) for value in _grid_inputs(operation)), Shifts())


def _shifts_of(value: GridInput, scalars: Mapping[str, float]) -> Shifts:
    if value.left_shift is None or value.right_shift is None:
        return Shifts()
    return Shifts(scalars[value.left_shift], scalars[value.right_shift])
