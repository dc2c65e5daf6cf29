"""The frames of an animation, computed: a walk, a way through sizes, or one vector that turns into another."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from i2i_runtime.animation.frames import animated_size, on_one_canvas, size_options, walk_options, wandering
from i2i_runtime.animation.interpolation import Ends, Vector, animation_options
from i2i_runtime.call.result_size import result_size
from i2i_runtime.call.results import Value
from i2i_runtime.call.running import OperationRunner, is_one, sources_of
from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.size import SCALE, SIZE, Pair
from i2i_runtime.schema.operations import Operation


def animate(
    runner: OperationRunner,
    operation: Operation,
    x: ImageSource | Sequence[ImageSource] | None,
    options: Mapping[str, Option],
    *,
    to: Mapping[str, Option],
    count: int,
    seed: int | None,
    fit: Fit | None,
    batch_size: int | None,
) -> list[Value]:
    """Return the images of an animation; `Bundle.frames` documents the arguments, and what is raised."""
    if not is_one(x):
        raise OptionError(found=f"frames of a list of {len(x)} images", expected="one image")
    start = secrets.randbits(32) if seed is None else seed
    if operation.walk:
        if to:
            raise OptionError(found=f"to={dict(to)}", expected=f"nothing: {operation.name} wanders by itself")
        walk = walk_options(operation, operation.walk, options, count, start)
        return _one_by_one(runner, wandering(operation, operation.walk), x, walk, seed=start, fit=fit)
    size = animated_size(operation)
    if size is not None:
        path = size_options(size, options, to, count, _own_size(operation, x, options, fit))
        return on_one_canvas(_one_by_one(runner, operation, x, path, seed=start, fit=fit))

    def compute(value: str, given: Mapping[str, Option], with_seed: int) -> Vector:
        (row,) = runner.run(operation, x, given, outputs=[value], seed=with_seed, fit=fit)
        return np.asarray(row[value])

    animation = animation_options(operation, Ends(options, start, to), count, compute)
    rows = runner.run(operation, x, animation, seed=start, fit=fit, batch_size=batch_size, count=count)
    return [value for row in rows for value in row.values()]


def _one_by_one(
    runner: OperationRunner,
    operation: Operation,
    x: ImageSource | None,
    frames: Iterable[Mapping[str, Option]],
    *,
    seed: int,
    fit: Fit | None,
) -> list[Value]:
    """Frames that differ in size, or need so much noise that only one frame's should lie in memory."""
    rows = (row for options in frames for row in runner.run(operation, x, options, seed=seed, fit=fit))
    return [value for row in rows for value in row.values()]


def _own_size(operation: Operation, x: ImageSource | None, options: Mapping[str, Option], fit: Fit | None) -> Pair:
    """Return the size of the result that nobody asks for another size of."""
    sources_of(operation, x)  # an image that is missing, or one too many, is told first
    rest = {name: value for name, value in options.items() if name not in {SIZE, SCALE}}
    return result_size(operation, x, rest, fit=fit)
