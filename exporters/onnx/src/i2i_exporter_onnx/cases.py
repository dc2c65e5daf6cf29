"""What the parity gate feeds: which batches, sizes and kinds of values, and the values themselves.

Everything is a function of the graph and the case, so that `verify` repeats an export's measurement exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

Array = NDArray[np.float32] | NDArray[np.int64]

BATCHES = (1, 2, 3)
EXTREMES = ("black", "white", "checkerboard", "noise", "colour", "pixel")
"""The images that find overflow and division by a vanishing variance. colour: one colour for each image of a batch;
pixel: the same but for one pixel, by one step of 8 bits. Latents beside these two are 0."""
DRAWN_EXTREMES = ("extremes", "zeros")
"""of graphs that take no image"""
ZERO_LATENTS = frozenset({"colour", "pixel", "zeros"})
ALL_COMBINATIONS_UP_TO = 128 * 128
"""pixels: larger images meet every batch and every size, but not every batch at every size"""
_MAP_RANK = 4
"""axes of images and of maps: batch, channels, height, width"""
EXTREME_NORMAL = 4.0
"""standard deviations: beyond what a seed draws in a few thousand numbers"""


@dataclass(frozen=True, slots=True)
class Case:
    """One set of input values: what kind, and how long every free axis is."""

    kind: str
    lengths: Mapping[str, int]
    batch: int
    seed: int = 0


def example_case(graph: ResolvedGraph) -> Case:
    """Return the values a graph is traced with: images, every axis at its example length."""
    lengths = {axis.name: max(axis.example, 2 * axis.multiple, 2) for axis in _free(graph)}
    return Case("images", lengths, _batch(graph, lengths))


def cases(graph: ResolvedGraph) -> list[Case]:
    """Every batch (1, 2, 3), every size (own, smaller, not square) and every kind of values at least once.

    Small images are measured at all nine combinations of batch and size; large ones at three, which keeps the cost
    of a 256 pixel image at about six forward passes. Extremes take the same three combinations in turn.
    """
    diagonal, everything = _combinations(graph)
    has_images = any(form.values == "image" for form in graph.inputs.values())
    ordinary, extremes = ("images", EXTREMES) if has_images else ("drawn", DRAWN_EXTREMES)
    plans = [(ordinary, lengths) for lengths in everything]
    plans += [(kind, diagonal[index % len(diagonal)]) for index, kind in enumerate(extremes)]
    return [Case(kind, lengths, _batch(graph, lengths), seed) for seed, (kind, lengths) in enumerate(plans)]


def values(graph: ResolvedGraph, case: Case) -> dict[str, Array]:
    """Input name -> values of the declared shape; images in [-1, 1]."""
    return {
        name: _values(form, case, np.random.default_rng([case.seed, position]))
        for position, (name, form) in enumerate(graph.inputs.items())
    }


def image_size(graph: ResolvedGraph, case: Case) -> tuple[int, int]:
    """Height and width in pixels of the first image that is fed, else of the largest map; (0, 0) without any."""
    maps = [_shape(form, case)[2:] for form in graph.inputs.values() if len(form.axes) == _MAP_RANK]
    images = [_shape(form, case)[2:] for form in graph.inputs.values() if form.values == "image"]
    height, width = next(iter(images), max(maps, default=(0, 0), key=math.prod))
    return height, width


def _combinations(graph: ResolvedGraph) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """Lengths of the free axes: (three that hold every batch and every size, all that are worth their time)."""
    sizes = _sizes([axis for axis in _free(graph) if axis not in _batch_axes(graph)])
    batches = [{axis.name: count for axis in _batch_axes(graph)} for count in BATCHES]
    # The own size alone, the smallest one as the largest batch: the cheapest way to meet all six.
    diagonal = [sizes[0] | batches[0], sizes[1 % len(sizes)] | batches[2], sizes[-1] | batches[1]]
    everything = [size | batch for size, batch in product(sizes, batches)]
    if not _batch_axes(graph):
        diagonal, everything = sizes, sizes
    own = Case("", sizes[0] | batches[0], 1)
    height, width = image_size(graph, own)
    cheap = len(sizes) == 1 or height * width <= ALL_COMBINATIONS_UP_TO
    return diagonal, everything if cheap else diagonal


def _sizes(axes: list[Axis]) -> list[dict[str, int]]:
    """Lengths of the axes that are not the batch: all at their own, all small, and small and large in turn."""
    if not axes:
        return [{}]
    own = {axis.name: axis.example for axis in axes}
    small = {axis.name: _small(axis) for axis in axes}
    large = {axis.name: max(axis.example, small[axis.name]) + axis.multiple for axis in axes}
    mixed = {axis.name: (large if index % 2 else small)[axis.name] for index, axis in enumerate(axes)}
    return [own, small, mixed]


def _small(axis: Axis) -> int:
    """About half the own length, or one step more than it where nothing smaller is allowed."""
    half = max(axis.example // 2, axis.minimum)
    length = -(-half // axis.multiple) * axis.multiple
    return length if length < axis.example else axis.example + axis.multiple


def _free(graph: ResolvedGraph) -> list[Axis]:
    """Return the free axes, each name once."""
    axes = (axis for form in graph.inputs.values() for axis in form.axes)
    return list({axis.name: axis for axis in axes if isinstance(axis, Axis)}.values())


def _batch_axes(graph: ResolvedGraph) -> list[Axis]:
    first = _first_axis(graph)
    return [first] if isinstance(first, Axis) else []


def _batch(graph: ResolvedGraph, lengths: Mapping[str, int]) -> int:
    first = _first_axis(graph)
    return lengths[first.name] if isinstance(first, Axis) else first


def _first_axis(graph: ResolvedGraph) -> int | Axis:
    return next(iter(graph.inputs.values())).axes[0]


def _shape(form: Form, case: Case) -> tuple[int, ...]:
    return tuple(case.lengths[axis.name] if isinstance(axis, Axis) else axis for axis in form.axes)


def _values(form: Form, case: Case, random: np.random.Generator) -> Array:
    shape = _shape(form, case)
    if form.values in {"index", "whole"}:
        low, count = int(form.low), int(form.high) - int(form.low) + 1
        numbers = (np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape) + case.seed) % count + low
        return numbers if form.values == "index" else numbers.astype(np.float32)
    if form.values == "image":
        return _image(shape, case.kind, random)
    if case.kind in ZERO_LATENTS:
        return np.full(shape, np.clip(0.0, form.low, form.high), np.float32)
    extreme = case.kind == "extremes"
    if form.values == "normal":
        drawn = random.standard_normal(shape, dtype=np.float32)
        return np.float32(EXTREME_NORMAL) * np.sign(drawn) if extreme else drawn
    drawn = random.uniform(form.low, form.high, shape).astype(np.float32)
    return np.where(drawn < (form.low + form.high) / 2, form.low, form.high).astype(np.float32) if extreme else drawn


def _image(shape: tuple[int, ...], kind: str, random: np.random.Generator) -> NDArray[np.float32]:
    if kind == "black":
        return np.full(shape, -1, np.float32)
    if kind == "white":
        return np.full(shape, 1, np.float32)
    if kind == "checkerboard":
        rows, columns = np.indices(shape[-2:])
        return np.broadcast_to(((rows + columns) % 2 * 2 - 1).astype(np.float32), shape).copy()
    if kind == "noise":
        return random.uniform(-1, 1, shape).astype(np.float32)
    batch, channels, height, width = shape
    if kind in {"colour", "pixel"}:
        colours = random.integers(1, 255, (batch, channels, 1, 1)).astype(np.float32)
        images = np.tile(colours, (1, 1, height, width))
        images[:, :, height // 2, width // 2] += kind == "pixel"
        return images / np.float32(127.5) - 1
    return np.stack([_photograph(index, channels, height, width) for index in range(batch)])


def _photograph(index: int, channels: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a shipped image at this size, [channels, height, width] in [-1, 1].

    Every second round of them is mirrored.
    """
    images = photographs()
    image = images[index % len(images)].resize((width, height), Image.Resampling.BICUBIC)
    if index // len(images) % 2:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if channels == 1:
        image = image.convert("L").convert("RGB")
    colours = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1
    return colours[np.arange(channels) % colours.shape[0]]


@cache
def photographs() -> tuple[Image.Image, ...]:
    """Return the public-domain images that ship with this package, in RGB."""
    folder = resources.files("i2i_exporter_onnx") / "images"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".jpg")), key=lambda item: item.name)
    loaded: list[Image.Image] = []
    for item in found:
        with item.open("rb") as stream:
            loaded.append(Image.open(stream).convert("RGB"))
    return tuple(loaded)
