"""The values of one input in all items of a call: a column, of which tensors are made when a batch runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import OptionError

T = TypeVar("T")
R = TypeVar("R")

_IMAGE_RANK = 3
"""channels, height, width"""
_REAL = frozenset("iuf")
"""NumPy's letters of whole and real numbers"""


class Column(ABC):
    """What one value of an operation is in each item of a call; items are counted from 0."""

    @abstractmethod
    def tensor(self, index: int) -> NDArray[np.generic]:
        """Return what a graph is fed for an item, without a batch axis."""

    @abstractmethod
    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of that; only items of one shape share a run."""

    @abstractmethod
    def identity(self, index: int) -> Hashable:
        """Equal for two items of a call only if both have the same value; not always if they have."""

    def extent(self, index: int) -> tuple[int, int] | None:
        """Height and width of what has two sides, pixels."""
        shape = self.shape(index)
        return (shape[1], shape[2]) if len(shape) == _IMAGE_RANK else None

    def choice(self, index: int) -> str | None:
        """Return the class of an item, by which steps may be chosen."""
        del index
        return None


@dataclass(frozen=True, slots=True)
class ArrayColumn(Column):
    """Values that are tensors already. What is equal for several items is one array."""

    arrays: Sequence[NDArray[np.generic]]

    def tensor(self, index: int) -> NDArray[np.generic]:
        """Return the array itself."""
        return self.arrays[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the array's."""
        return self.arrays[index].shape

    def identity(self, index: int) -> Hashable:
        """Which array it is."""
        return id(self.arrays[index])


def made_once(values: Sequence[T], make: Callable[[T], R], key: Callable[[T], Hashable] = id) -> list[R]:
    """Return what `make` gives for each value.

    Values with one key (the same object) share what is made of the first.
    """
    made: dict[Hashable, R] = {}
    for value in values:
        if key(value) not in made:
            made[key(value)] = make(value)
    return [made[key(value)] for value in values]


def vectors(name: str, shape: tuple[int, ...], given: object, count: int) -> list[NDArray[np.float32]]:
    """One vector for all items, or one for each along a first axis, as a caller gives them.

    Raises OptionError for another shape, and for values that are no numbers or not finite.
    """
    expected = f"float {list(shape)}, or {[count, *shape]}: one for each item"
    array = finite_numbers(name, given, {shape, (count, *shape)}, expected)
    return [array] * count if array.shape == shape else list(array)


def finite_numbers(name: str, given: object, shapes: Collection[tuple[int, ...]], expected: str) -> NDArray[np.float32]:
    """Return finite numbers of one of these shapes.

    Raises OptionError for another shape, and for values that are no numbers or not finite; `expected` says what would
    do.
    """
    array = array_of(name, given, expected)
    if array.dtype.kind not in _REAL or array.shape not in shapes:
        raise OptionError(found=f"{name} is {array.dtype} of shape {list(array.shape)}", expected=expected)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, and is refused
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise OptionError(found=f"{name} holds values that are not finite", expected=expected)
    return result


def array_of(name: str, given: object, expected: str) -> NDArray[np.generic]:
    """Return what a caller gives as an array of any type. Raises OptionError for lists that make none."""
    try:
        return np.asarray(given)
    except ValueError as error:
        raise OptionError(found=f"{name} has lists of different lengths in one", expected=expected) from error
