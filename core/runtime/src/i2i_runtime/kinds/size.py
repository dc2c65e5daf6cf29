"""How large a result is to be. It feeds no graph: noise maps and sampling grids take their shapes from it."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image.pixels import MAX_PIXELS
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs
from i2i_runtime.kinds.columns import Column
from i2i_runtime.kinds.forms import Axis, Form
from i2i_runtime.kinds.image import ImageColumn
from i2i_runtime.kinds.image_relations import WidensImage, check_image
from i2i_runtime.records import Name, Side
from i2i_runtime.type_guards import is_list_or_tuple

Factor = Fraction | float
Pair = tuple[int, int]

SIZE, SCALE = "size", "scale"
"""The two ways in which a caller says it."""

_PAIR = re.compile(r"\s*([^\sx]+)\s*x\s*([^\sx]+)\s*")
_SIZE_FORM = "height and width in pixels: 128x300 in words, (128, 300) in Python"
_SCALE_FORM = "a factor, or one for each axis (vertical, horizontal): 1.5 or 1x2 in words, (1, 2) in Python"


@dataclass(frozen=True, slots=True)
class ResultSize:
    """The size of one result, pixels, and how that compares with the own size."""

    height: int
    width: int
    vertical: Factor = 1.0
    horizontal: Factor = 1.0


class SizeInput(InputKind):
    """How large the result is to be. It feeds no graph: noise maps and grids take their shapes from it.

    A caller gives `size=(height, width)` in pixels, or `scale=`, a factor, or one for each axis (vertical, horizontal).
    """

    kind: Literal["size"] = "size"
    name: Name = SIZE
    height: Side
    """pixels; the own size, which a caller gets who asks for none"""
    width: Side
    image: Name | None = None
    """the image of the call whose size is meant by "own", in place of height x width"""
    rounding: Literal["nearest", "down"] = "nearest"
    """of lengths that a factor gives; halves go to the even neighbour"""
    multiple: Side = 1
    """what the result's sides are multiples of; with `scale` they are rounded down to one"""
    minimum_height: Side = 1
    minimum_width: Side = 1
    maximum: PositiveInt | None = None
    """of either side"""

    @model_validator(mode="after")
    def _own_size_obeys_the_rule(self) -> Self:
        if self.name != SIZE:
            raise ValueError(f"a size is called {SIZE!r}, not {self.name!r}: calls give it under that name")
        if self.image is None and not self.accepts(self.height, self.width):
            raise ValueError(f"the own size {self.height}x{self.width} breaks its own rule: {self.describe()}")
        return self

    def accepts(self, height: int, width: int) -> bool:
        """Whether a result may have this size (pixels)."""
        top = self.maximum or max(height, width)
        least = height >= self.minimum_height and width >= self.minimum_width
        return least and all(side % self.multiple == 0 and side <= top for side in (height, width))

    def describe(self) -> str:
        """Return the rule in words, for error messages and documentation."""
        text = f"at least {self.minimum_height}x{self.minimum_width} pixels (height x width)"
        text += f", in multiples of {self.multiple}" if self.multiple > 1 else ""
        return text + (f", at most {self.maximum} a side" if self.maximum else "")

    @property
    def option_names(self) -> tuple[str, ...]:
        """In pixels, or as a factor."""
        return SIZE, SCALE

    @property
    def sides(self) -> tuple[Axis, Axis]:
        """Height and width of what has the size of the result, as axes of a graph."""
        height, width = (_down(own, self.multiple) for own in (self.height, self.width))
        return (
            Axis("out_height", height, self.multiple, self.minimum_height),
            Axis("out_width", width, self.multiple, self.minimum_width),
        )

    @property
    def smallest(self) -> ResultSize:
        """The smallest result."""
        height, width = self.minimum_height, self.minimum_width
        return ResultSize(height, width, Fraction(height, self.height), Fraction(width, self.width))

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """None: see the module."""
        del inputs
        return {}

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Return the image whose size is meant, and what makes its frame wider."""
        if self.image is None:
            return frozenset()
        wider = [value.widening for value in inputs.values() if isinstance(value, WidensImage)][:1]
        return frozenset((self.image,)).union(*wider)

    def check(self, inputs: Inputs) -> None:
        """Check that the image is one."""
        check_image(self, self.image, inputs)

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Return the size of each result: it differs where the images do. Raises OptionError for one that cannot be."""
        own = [self._own(gathering, index) for index in range(gathering.count)]
        sizes = {each: self.result_size(gathering.options, each) for each in dict.fromkeys(own)}
        return {self.name: SizeColumn([sizes[each] for each in own])}

    def _own(self, gathering: Gathering, index: int) -> Pair:
        if self.image is None:
            return self.height, self.width
        height, width = gathering.column(self.image, ImageColumn).images[index].size
        wider = gathering.of(WidensImage)
        return height, wider[0].widened(gathering, index, width) if wider else width

    def result_size(self, options: Mapping[str, object], own: Pair) -> ResultSize:
        """Return what `size` or `scale` among a call's options ask for; the own size where neither is there.

        Raises OptionError when both are given, or the size is none that the rule accepts, or absurdly large.
        """
        size, scale = options.get(SIZE), options.get(SCALE)
        if size is not None and scale is not None:
            raise OptionError(found="size and scale", expected="one of the two")
        if size is not None:
            height, width = read_size(size)
            _check_pixels(height, width)
            wanted = ResultSize(height, width, Fraction(height, own[0]), Fraction(width, own[1]))
        else:
            factors = (1.0, 1.0) if scale is None else read_scale(scale)
            _check_pixels(own[0] * factors[0], own[1] * factors[1])
            height, width = (_down(self.rounded(*pair), self.multiple) for pair in zip(own, factors, strict=True))
            wanted = ResultSize(height, width, *factors)
        if not self.accepts(wanted.height, wanted.width):
            raise OptionError(
                found=f"a result of {wanted.height}x{wanted.width} pixels (height x width)",
                expected=self.describe(),
                fix=f"the own size is {own[0]}x{own[1]}",
            )
        return wanted

    def rounded(self, length: int, factor: Factor) -> int:
        """Return a length times a factor."""
        return round(length * factor) if self.rounding == "nearest" else math.floor(length * factor)

    def command_options(self) -> tuple[CommandOption, ...]:
        """In pixels, or as a factor."""
        own = "that of the image" if self.image else f"{self.height}x{self.width}"
        size_help = f"Of the result, pixels; default: {own}."
        return (
            CommandOption(SIZE, size_help, read=read_size, metavar="HEIGHTxWIDTH"),
            CommandOption(
                SCALE, "The same as a multiple of that.", read=read_scale, metavar="FACTOR|VERTICALxHORIZONTAL"
            ),
        )


@dataclass(frozen=True, slots=True)
class SizeColumn(Column):
    """The sizes of the results of a call."""

    sizes: Sequence[ResultSize]

    def tensor(self, index: int) -> NDArray[np.generic]:
        """[height, width]; no graph takes it."""
        return np.array(self.shape(index), dtype=np.int64)

    def shape(self, index: int) -> tuple[int, ...]:
        """Height and width: results of different sizes share no run."""
        return self.sizes[index].height, self.sizes[index].width

    def identity(self, index: int) -> Hashable:
        """Return the size."""
        return self.sizes[index]


def size_input_of(inputs: Sequence[InputKind]) -> SizeInput | None:
    """Return the input that says how large the result is to be, where a caller may choose."""
    return next((value for value in inputs if isinstance(value, SizeInput)), None)


def size_of_result(gathering: Gathering, index: int) -> ResultSize | None:
    """Return the size of an item's result; None where nobody chooses."""
    return gathering.column(SIZE, SizeColumn).sizes[index] if gathering.of(SizeInput) else None


def _check_pixels(height: float, width: float) -> None:
    if height * width > MAX_PIXELS:
        raise OptionError(
            found=f"a result of {height:.6g}x{width:.6g} pixels (height x width)",
            expected=f"at most {MAX_PIXELS:,} pixels in all",
        )


def read_size(given: object) -> Pair:
    """Height and width from "128x300" or (128, 300). Raises OptionError for anything else."""
    parts = _parts(given)
    if len(parts) != 2 or any(part != int(part) or part < 1 for part in parts):  # noqa: PLR2004 - the two axes
        raise OptionError(found=f"size={given!r}", expected=_SIZE_FORM)
    return int(parts[0]), int(parts[1])


def read_scale(given: object) -> tuple[float, float]:
    """Vertical and horizontal factor from 1.5, "1.5", "1x2" or (1, 2). Raises OptionError for anything else."""
    parts = _parts(given)
    if len(parts) not in (1, 2) or any(part <= 0 for part in parts):
        raise OptionError(found=f"scale={given!r}", expected=_SCALE_FORM)
    return parts[0], parts[-1]


def _parts(given: object) -> list[float]:
    """Return the numbers of a value; none where it is of no form that we read."""
    if isinstance(given, str):
        match = _PAIR.fullmatch(given)
        several: Sequence[object] = match.groups() if match else [given]
    else:
        several = given if is_list_or_tuple(given) else [given]
    numbers = [_number(each) for each in several]
    return numbers if all(math.isfinite(number) for number in numbers) else []


def _number(given: object) -> float:
    """NaN for what is none."""
    if isinstance(given, bool) or not isinstance(given, (str, bytes, SupportsFloat, SupportsIndex)):
        return math.nan
    try:
        return float(given)
    except (TypeError, ValueError):
        return math.nan


def _down(length: int, multiple: int) -> int:
    return length // multiple * multiple
