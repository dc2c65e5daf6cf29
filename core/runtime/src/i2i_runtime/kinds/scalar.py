"""A number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.records import Number

MAX_WHOLE = 1 << 24
"""up to which float32 holds every whole number"""


class ScalarInput(InputKind):
    """A number: float32 [n], one for each item."""

    kind: Literal["scalar"] = "scalar"
    default: Number
    minimum: Number
    maximum: Number
    whole: bool = False
    """Whether only whole numbers are meant."""

    @model_validator(mode="after")
    def _default_in_range(self) -> Self:
        if self.whole and not all(n.is_integer() for n in (self.default, self.minimum, self.maximum)):
            raise ValueError(f"{self.name}: a whole number between {self.minimum} and {self.maximum}")
        if self.whole and max(-self.minimum, self.maximum) > MAX_WHOLE:
            raise ValueError(f"{self.name}: float32 tells whole numbers apart up to {MAX_WHOLE} only")
        if not self.minimum <= self.default <= self.maximum:
            raise ValueError(f"default {self.default} is outside [{self.minimum}, {self.maximum}]")
        return self

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the number, within its limits."""
        del inputs
        return {self.name: Form((BATCH,), "whole" if self.whole else "uniform", self.minimum, self.maximum)}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """One number for all items, or a list with one for each."""
        given = gathering.given(self.name)
        each = gathering.one_each(self.name, given)
        numbers = [self.read(number) for number in each]
        arrays = made_once(numbers, lambda number: np.array(number, dtype=np.float32), lambda number: number)
        return {self.name: NumberColumn(arrays, numbers)}

    def read(self, given: object) -> float:
        """Return what was given for it, the default for None.

        Raises OptionError for what is no number, or out of range, or no whole one.
        """
        if given is None:
            return self.default
        if isinstance(given, bool) or not isinstance(given, (int, float, np.integer, np.floating)):
            raise OptionError(found=f"{self.name} is a {type(given).__name__}", expected="a number")
        if not self.minimum <= given <= self.maximum:
            raise OptionError(found=f"{self.name}={given}", expected=f"from {self.minimum:g} to {self.maximum:g}")
        if self.whole and float(given) != int(given):
            raise OptionError(found=f"{self.name}={given}", expected="a whole number")
        return float(given)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a number within the limits."""
        takes, read = ("whole", int) if self.whole else ("number", float)
        limits = (read(self.minimum), read(self.maximum))
        return (CommandOption(self.name, self.summary, takes, read, default=read(self.default), limits=limits),)

    def from_text(self, text: str) -> Option:
        """Return a number; its range is checked in the call."""
        try:
            return float(text)
        except ValueError:
            raise OptionError(found=f"{self.name}={text!r}", expected="a number") from None

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return the default."""
        del images
        return (self.default,)

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return the ends of the range."""
        return [np.full_like(tensor, number) for number in (self.minimum, self.maximum)]


def check_numbers(names: Sequence[str | None], inputs: Inputs) -> None:
    """Raise ValueError for a name that is no number input of the same operation."""
    for name in names:
        if name is not None and not isinstance(inputs.get(name), ScalarInput):
            raise ValueError(f"{name!r} is no number input")


@dataclass(frozen=True, slots=True)
class NumberColumn(ArrayColumn):
    """Numbers as tensors, and as they are."""

    numbers: Sequence[float]
