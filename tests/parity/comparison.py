"""How far a computed tensor may lie from the recorded one: one function per kind of quantity.

Every function returns an error as a number that is compared with a tolerance; a wrong shape, or a value that is not
finite, is an infinite error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

WEAK_GRADIENT = 0.02
"""Entries whose gradient is below this share of the tensor's largest are weak: Adam's first step there is the sign of
almost nothing, and rounding may turn it round."""

TURNED_SHARE = 1e-3
"""Share of a tensor's entries that rounding may turn round; one of a tensor that has less than a thousand."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    quantity: str
    error: float
    tolerance: float
    file: str = ""
    """which recording it is about"""

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


def difference(found: Tensor, recorded: Tensor) -> Tensor:
    """Absolute difference in float64; infinite where the shapes differ or a value is not finite."""
    if found.shape != recorded.shape:
        return torch.full(recorded.shape, math.inf, dtype=torch.float64)
    return (found.detach().double() - recorded.double()).abs().nan_to_num(nan=math.inf)


def largest(values: Tensor) -> float:
    """The largest entry; 0 of no entries."""
    return float(values.max()) if values.numel() else 0.0


def scale_of(values: Tensor) -> float:
    """The largest magnitude; 0 of no entries."""
    return largest(values.double().abs())


def absolute_error(found: Tensor, recorded: Tensor) -> float:
    """Largest difference: outputs."""
    return largest(difference(found, recorded))


def relative_error(found: float, recorded: float) -> float:
    """Difference over the recorded value: losses. Where that is 0, the difference itself."""
    error = abs(found - recorded) / (abs(recorded) or 1.0)
    return error if math.isfinite(error) else math.inf


def gradient_error(found: Tensor, recorded: Tensor) -> float:
    """Largest difference over the tensor's largest entry: gradients sit on kinks, where single entries move."""
    return largest(difference(found, recorded)) / (scale_of(recorded) or 1.0)


def allowed_turns(values: Tensor) -> float:
    """The share of a tensor's entries that may have turned round."""
    return max(TURNED_SHARE, 1 / max(values.numel(), 1))


@dataclass(frozen=True, slots=True)
class Movement:
    """A parameter (or buffer) before and after the recorded step."""

    before: Tensor
    after: Tensor
    gradient: Tensor | None
    """recorded; None where there is none, as for a buffer"""
    learning_rate: float
    steps: int = 1
    """how often the optimizer stepped"""

    @property
    def scale(self) -> float:
        """How far it moved; at least the learning rate, for one whose every entry was held in place by a clamp."""
        return max(largest(difference(self.after, self.before)), self.learning_rate)

    @property
    def weak(self) -> Tensor:
        """Entries whose direction rounding may turn round."""
        if self.gradient is None:
            return torch.zeros(self.after.shape, dtype=torch.bool)
        size = self.gradient.abs()
        return size < WEAK_GRADIENT * size.max()

    def error(self, found: Tensor) -> float:
        """Largest difference over the movement, on entries that are not weak."""
        return largest(difference(found, self.after)[~self.weak]) / self.scale

    def turned(self, found: Tensor, tolerance: float) -> float:
        """Share of the entries that are weak and further off than `tolerance` times the movement.

        Infinite when one of them is further off than steps in the other direction can be.
        """
        off = difference(found, self.after)[self.weak]
        if largest(off) > 2 * self.learning_rate * self.steps + tolerance * self.scale:
            return math.inf
        return float((off > tolerance * self.scale).sum()) / self.after.numel()
