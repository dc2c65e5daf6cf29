"""Forms of one graph input that several operations feed."""

from __future__ import annotations

import math
from dataclasses import replace

from i2i_registry.interfaces.graphs import Axis, Form


def axes_of_both(one: Form, other: Form) -> tuple[int | Axis, ...] | None:
    """Axes that allow both; None where there are none."""
    if len(one.axes) != len(other.axes):
        return None
    axes = [_either(*pair) for pair in zip(one.axes, other.axes, strict=True)]
    return None if None in axes else tuple(axis for axis in axes if axis is not None)


def _either(one: int | Axis, other: int | Axis) -> int | Axis | None:
    if isinstance(one, int):
        one, other = other, one
    if isinstance(one, int):
        return one if one == other else None
    if isinstance(other, int):
        return one if other % one.multiple == 0 and other >= one.minimum else None
    multiple, minimum = math.gcd(one.multiple, other.multiple), min(one.minimum, other.minimum)
    return replace(one, multiple=multiple, minimum=minimum)


def shown(tensor: Form) -> str:
    """Return the axes in words."""
    return str([axis.name if isinstance(axis, Axis) else axis for axis in tensor.axes])
