"""The options of an animation: all stays as it is in the first frame, but for one vector that goes to another value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.animation.lerp import lerp, slerp
from i2i_runtime.call.arguments import random_options
from i2i_runtime.errors import OptionError
from i2i_runtime.kinds.base import Option
from i2i_runtime.schema.operations import Interpolation, Operation
from i2i_runtime.schema.wiring import needed_inputs

Vector = NDArray[np.floating]

Compute = Callable[[str, Mapping[str, Option], int], Vector]
"""name of a vector that one step of the operation makes, options and seed -> that vector"""


@dataclass(frozen=True, slots=True)
class Ends:
    """What the first frame is made from, and what is different in the last."""

    options: Mapping[str, Option]
    seed: int
    to: Mapping[str, Option]
    """as `options`; "seed" among them is the last frame's seed"""

    @property
    def last_seed(self) -> int:
        """The seed of the last frame. Raises OptionError when it is no whole number from 0 on."""
        seed = self.to.get("seed", self.seed)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise OptionError(found=f"to={{'seed': {seed!r}}}", expected="a whole number, 0 or more")
        return seed

    @property
    def last_options(self) -> dict[str, Option]:
        """The options of the last frame."""
        return {**self.options, **{name: value for name, value in self.to.items() if name != "seed"}}


def animation_options(operation: Operation, ends: Ends, count: int, compute: Compute) -> dict[str, Option]:
    """Return the options of a call of `operation` whose `count` results are the frames.

    Raises OptionError when the operation has nothing to interpolate, `to` changes nothing, or frames are too few.
    """
    interpolation = _checked(operation, ends, count)
    drawn = random_options(operation, ends.seed, ends.options)
    if interpolation.value in operation.named:
        last = random_options(operation, ends.last_seed, ends.last_options)
        start, end = (np.asarray(vectors[interpolation.value]) for vectors in (drawn, last))
        needed = frozenset(operation.named)
    else:
        start, end = (
            compute(interpolation.value, options, seed)
            for options, seed in ((ends.options, ends.seed), (ends.last_options, ends.last_seed))
        )
        needed = needed_inputs(operation, {interpolation.value})
    _check_vectors(interpolation, start, end)
    between = slerp if interpolation.along == "arc" else lerp
    rows = zip(np.atleast_2d(start), np.atleast_2d(end), strict=True)
    path = np.stack([between(first, other, count) for first, other in rows], axis=1)
    held = {name: vector for name, vector in drawn.items() if name in needed}
    kept = {name: value for name, value in ends.options.items() if name in needed}
    return {**kept, **held, interpolation.value: path.reshape(count, *start.shape)}


def _checked(operation: Operation, ends: Ends, count: int) -> Interpolation:
    if operation.interpolation is None:
        raise OptionError(found=f"frames of {operation.name}", expected="an operation with something to interpolate")
    if count < 2:  # noqa: PLR2004 - both ends are frames
        raise OptionError(found=f"count={count} frames", expected="at least 2: the first and the last")
    if not ends.to:
        raise OptionError(
            found="nothing that the last frame has and the first has not",
            expected="to={...} with another seed, or another value of an option",
            fix='to={"seed": 1}',
        )
    return operation.interpolation


def _check_vectors(interpolation: Interpolation, start: Vector, end: Vector) -> None:
    if start.ndim not in {1, 2} or start.shape != end.shape:
        found = f"{interpolation.value} goes from shape {list(start.shape)} to {list(end.shape)}"
        raise OptionError(found=found, expected="two vectors of one length, or such a vector for each layer")
    if np.array_equal(start, end):
        raise OptionError(found="the last frame equals the first", expected="another seed, or another value, in to")
