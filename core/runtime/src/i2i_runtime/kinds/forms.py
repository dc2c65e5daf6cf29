"""What a graph is fed: the type of a tensor, its axes, and which values are honest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Lengths: TypeAlias = tuple[int | None, ...]
"""of axes; None where they are free"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A free axis of a graph input. Axes of one name have one length in a call; "batch" and image sides, mostly."""

    name: str
    example: int
    """length while tracing, and the first one that parity is measured at; at least 2"""
    multiple: int = 1
    minimum: int = 1


Values: TypeAlias = Literal["image", "normal", "uniform", "index", "whole"]
"""How honest test values are made.

image      real images in [-1, 1], and extremes of it
normal     N(0, 1)
uniform    float32, between the lowest and the highest value
index      int64, from 0 to the highest value
whole      float32, the whole numbers from the lowest to the highest value
"""


BATCH = Axis("batch", 2)
"""The first axis of every graph input."""


@dataclass(frozen=True, slots=True)
class Form:
    """A tensor that a graph is fed."""

    axes: tuple[int | Axis, ...]
    """the batch first"""
    values: Values
    low: float = -1.0
    """lowest value of `uniform` and `whole`"""
    high: float = 1.0
    """highest value of `uniform`, `whole` and `index`"""

    @property
    def dtype(self) -> Literal["float32", "int64"]:
        """The type of its numbers."""
        return "int64" if self.values == "index" else "float32"

    @property
    def lengths(self) -> Lengths:
        """Its axes, None where they are free."""
        return tuple(axis if isinstance(axis, int) else None for axis in self.axes)
