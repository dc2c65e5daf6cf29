"""The options of each frame of an animation that wanders in noise space, or goes from one size to another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.animation.walks import walk
from i2i_runtime.call.arguments import gathering
from i2i_runtime.call.results import Value
from i2i_runtime.errors import OptionError
from i2i_runtime.image import reading as images
from i2i_runtime.image.writing import encode
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SCALE, SIZE, Pair, SizeInput, read_scale, read_size
from i2i_runtime.schema.operations import Operation, Walk
from i2i_runtime.type_guards import is_list_or_tuple

Options = dict[str, Option]


def wandering(operation: Operation, how: Walk) -> Operation:
    """Return the operation for the frames of a walk, whose anchor has no limits.

    It swings around 1, as a pendulum would.
    """
    free = {"minimum": -math.inf, "maximum": math.inf, "whole": False}
    inputs = tuple(v.model_copy(update=free) if v.name == how.anchor else v for v in operation.inputs)
    return operation.model_copy(update={"inputs": inputs})


def walk_options(
    operation: Operation, how: Walk, options: Mapping[str, Option], count: int, seed: int
) -> Iterator[Options]:
    """Yield the options of each of `count` frames of a random walk; they are drawn as they are asked for.

    Raises OptionError for fewer than one frame, for maps or an anchor that are given, which the walk sets, and for
    numbers out of range.
    """
    if count < 1:
        raise OptionError(found=f"count={count} frames", expected="at least 1")
    maps = operation.of(NoiseInput)
    for name in (*(value.name for value in maps), how.anchor):
        if options.get(name) is not None:
            raise OptionError(found=f"{name!r} for an animation", expected="nothing: the walk sets it in every frame")
    call = gathering(operation, None, options, seed=seed)
    numbers = {value.name: value.read(options.get(value.name)) for value in operation.of(ScalarInput)}
    frames = walk(
        {value.name: value.shape_of(call, 0) for value in maps},
        first=how.first,
        pull=numbers[how.pull],
        inertia=numbers[how.inertia],
        count=count,
        seed=call.seed,
    )
    for frame in frames:
        yield {**options, **frame.maps, how.anchor: frame.anchor}


def animated_size(operation: Operation) -> SizeInput | None:
    """Return the size that differs from frame to frame, where that is what the operation interpolates."""
    interpolation = operation.interpolation
    return operation.size if interpolation is not None and interpolation.value == SIZE else None


def size_options(
    value: SizeInput, options: Mapping[str, Option], to: Mapping[str, Option], count: int, own: Pair
) -> list[Options]:
    """Return the options of `count` frames, whose size goes along a line to that in `to`, or through several.

    `own` is the size (height, width) that a call gets which asks for none. Raises OptionError when `to` names both
    size and scale, or something else, there are fewer frames than sizes, or one of them is refused.
    """
    if len(to) != 1 or not to.keys() <= {SIZE, SCALE}:
        named = " and ".join(sorted(to)) or "nothing"
        raise OptionError(f"an animation to another {named}", expected="to={'size': ...} or to={'scale': ...}")
    ((name, ends),) = to.items()
    read = read_size if name == SIZE else read_scale
    stops = [read(end) for end in (ends if _are_several(ends) else [ends])]
    first = value.result_size(options, own)
    start = (first.height, first.width) if name == SIZE else (first.vertical, first.horizontal)
    path = np.array([start, *stops], dtype=np.float64)
    if count < len(path):
        raise OptionError(found=f"count={count} frames", expected=f"at least {len(path)}: one for each size on the way")
    frames = [_option(value, name, path, place) for place in np.linspace(0, len(path) - 1, count)]
    for frame in frames:  # before anything is computed
        value.result_size(frame, own)
    rest = {key: each for key, each in options.items() if key not in {SIZE, SCALE}}
    return [{**rest, **frame} for frame in frames]


def _option(value: SizeInput, name: str, path: NDArray[np.float64], place: float) -> Options:
    """Return the size or scale at a place between the points of a path, which are the whole numbers."""
    vertical, horizontal = (float(np.interp(place, np.arange(len(path)), path[:, axis])) for axis in (0, 1))
    if name == SCALE:
        return {SCALE: (vertical, horizontal)}
    return {SIZE: tuple(max(round(side / value.multiple), 1) * value.multiple for side in (vertical, horizontal))}


def _are_several(ends: object) -> TypeGuard[Sequence[object]]:
    """Whether these are several sizes: a list of pairs or of words, not the two numbers of one."""
    return is_list_or_tuple(ends) and not all(isinstance(each, (int, float)) for each in ends)


def on_one_canvas(frames: Sequence[Value]) -> list[Value]:
    """Frames of different sizes, each in the upper left corner of a black canvas that holds the largest."""
    arrays = [_as_array(frame) for frame in frames]
    height, width = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    placed: list[Value] = []
    for frame, array in zip(frames, arrays, strict=True):
        canvas = np.zeros((height, width, *array.shape[2:]), dtype=array.dtype)
        canvas[: array.shape[0], : array.shape[1]] = array
        placed.append(_like(frame, canvas))
    return placed


def _as_array(frame: Value) -> NDArray[np.generic]:
    if isinstance(frame, bytes):
        return np.asarray(images.read(frame))
    return np.asarray(frame)


def _like(frame: Value, canvas: NDArray[np.generic]) -> Value:
    if isinstance(frame, np.ndarray):
        return canvas
    image = Image.fromarray(canvas)
    return encode(image) if isinstance(frame, bytes) else image
