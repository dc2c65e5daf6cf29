"""Where in an image each pixel of the result looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image.sampling_grids import Shifts, sampling_grid
from i2i_runtime.kinds.base import CommandOption, Gathering, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.image import ImageColumn
from i2i_runtime.kinds.image_relations import WidensImage, check_image, image_of
from i2i_runtime.kinds.scalar import NumberColumn, check_numbers
from i2i_runtime.kinds.size import SizeInput, size_input_of, size_of_result
from i2i_runtime.records import Name


class GridInput(WidensImage):
    """Where in an image each pixel of the result looks: float [n, height, width, 2], (x, y) in [-1, 1].

    -1 and 1 are the centres of the image's first and last pixels. The runtime computes it from the size of the
    result and two shifts, so that the output's size is free and nothing in a graph depends on values.
    """

    kind: Literal["grid"] = "grid"
    image: Name
    left_shift: Name | None = None
    """number input: how far the left border is shifted between top and bottom (`sampling_grids`)"""
    right_shift: Name | None = None
    coverage: Name | None = None
    """also makes this value, float [n, 1, height, width] in [0, 1]: how much of each pixel the image covers"""

    is_typed: ClassVar[bool] = False

    @model_validator(mode="after")
    def _shifts_come_in_pairs(self) -> Self:
        if (self.left_shift is None) != (self.right_shift is None):
            raise ValueError(f"{self.name}: one shift without the other")
        return self

    @property
    def option_names(self) -> tuple[str, ...]:
        """None: it follows from the size."""
        return ()

    @property
    def widening(self) -> frozenset[str]:
        """The shifts."""
        return frozenset(name for name in (self.left_shift, self.right_shift) if name is not None)

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the grid, and its coverage where that has a name."""
        size = size_input_of(list(inputs.values()))
        sides = size.sides if size else image_of(self.image, inputs).sides(inputs)
        forms = {self.name: Form((BATCH, *sides, 2), "uniform")}
        if self.coverage:
            forms[self.coverage] = Form((BATCH, 1, *sides), "uniform", 0)
        return forms

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Return the image, the shifts, and the size of the result."""
        sizes = {name for name, value in inputs.items() if isinstance(value, SizeInput)}
        return frozenset((self.image, *self.widening, *sizes))

    def check(self, inputs: Inputs) -> None:
        """Check that the image is one, and the shifts numbers."""
        check_image(self, self.image, inputs)
        check_numbers((self.left_shift, self.right_shift), inputs)

    def widened(self, gathering: Gathering, index: int, width: int) -> int:
        """Return the image and its shifted borders."""
        return self._shifts(gathering, index).padded_width(width)

    def _shifts(self, gathering: Gathering, index: int) -> Shifts:
        if self.left_shift is None or self.right_shift is None:
            return Shifts()
        left, right = (gathering.column(name, NumberColumn) for name in (self.left_shift, self.right_shift))
        return Shifts(left.numbers[index], right.numbers[index])

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Made once for all items of one size and one shift. Raises OptionError as `Shifts.check` does."""
        images = gathering.column(self.image, ImageColumn).images
        wanted: list[tuple[tuple[int, int], tuple[int, int], Shifts]] = []
        for index, image in enumerate(images):
            size = size_of_result(gathering, index)
            result = (size.height, size.width) if size else image.size
            wanted.append((image.size, result, self._shifts(gathering, index)))
        made = made_once(wanted, lambda each: sampling_grid(*each), lambda each: each)
        columns: dict[str, Column] = {self.name: GridColumn([grid for grid, _ in made])}
        if self.coverage:
            columns[self.coverage] = ArrayColumn([coverage for _, coverage in made])
        return columns

    def command_options(self) -> tuple[CommandOption, ...]:
        """None."""
        return ()

    def from_text(self, text: str) -> Option:
        """Nobody types it: raises OptionError."""
        raise OptionError(found=f"{self.name}={text!r}, which follows from the size", expected="size or scale instead")


@dataclass(frozen=True, slots=True)
class GridColumn(ArrayColumn):
    """Grids [height, width, 2]."""

    def extent(self, index: int) -> tuple[int, int] | None:
        """Height and width come first."""
        height, width, _ = self.arrays[index].shape
        return height, width
