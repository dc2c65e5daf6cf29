"""Calls of an operation at the edges of what it declares, as torch takes them and as an app makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_conformance.errors import ConformanceError
from i2i_runtime.call.arguments import gather, gathering
from i2i_runtime.call.batching import stacked
from i2i_runtime.image.resizing import SINGAN, SizeRule
from i2i_runtime.kinds.base import Option, RandomInput
from i2i_runtime.kinds.grid import GridInput
from i2i_runtime.kinds.image import Also, ImageInput
from i2i_runtime.kinds.size import SIZE, SizeInput
from i2i_runtime.schema.operations import Operation
from i2i_toolkit.layers.bicubic import resample_to

BATCHES = (1, 3)
SEED = 11
"""of what the runtime draws in a call"""
Levels = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation: `count` items, every image at `size` (pixels) where its rule allows that.

    Without an image `size` is that of the result. Where both are free the result is taller than the image, and
    narrower if it may be.
    """

    operation: Operation
    size: Size
    count: int
    branch: Mapping[str, str]

    def __str__(self) -> str:
        words = "".join(f", {name}={label}" for name, label in self.branch.items())
        return f"{self.operation.name} at {self.size[0]}x{self.size[1]}, batch {self.count}{words}"

    def images(self, value: ImageInput) -> list[Levels]:
        """Random images [h, w, channels], in RGB of three equal channels for 1; the same at every call."""
        height, width = self.size if value.size.accepts(*self.size) else (value.size.height, value.size.width)
        generator = np.random.default_rng([height, width, len(value.name)])
        shape = (height, width, value.channels)
        drawn = [generator.integers(0, 256, shape, np.uint8) for _ in range(self.count)]
        return [image.repeat(3, axis=2) if value.channels == 1 else image for image in drawn]

    def floats(self, value: ImageInput) -> list[NDArray[np.float32]]:
        """The same images in [0, 1]."""
        return [image.astype(np.float32) / np.float32(255) for image in self.images(value)]

    @property
    def result(self) -> Size:
        """Height and width of the result, for operations whose caller chooses."""
        value = self.operation.size
        if value is None or value.image is None:
            return self.size
        down, across = (side // value.multiple for side in self.size)
        narrow, least = (across - 1) * value.multiple, max(value.minimum_width, value.multiple)
        return (down + 1) * value.multiple, narrow if narrow >= least else across * value.multiple

    def grid(self) -> Tensor:
        """Where a bilinear resize of the image to the result looks, by the textbook formula."""
        axes = [
            (2 * ((np.arange(to) + 0.5) * of / to - 0.5).clip(0, of - 1) / (of - 1) - 1)
            for to, of in zip(self.result, self.size, strict=True)
        ]
        rows, columns = np.meshgrid(*axes, indexing="ij")
        grid = np.stack([columns, rows], axis=-1).astype(np.float32)
        return torch.from_numpy(np.broadcast_to(grid, (self.count, *grid.shape)).copy())

    def tensors(self) -> dict[str, Tensor]:
        """What torch is fed: images and grids by the textbook's formulas, all else as the runtime makes it."""
        main = self.operation.main_image
        sources = self.images(main) if main else None
        call = gather(self.operation, sources, self.count, self.options(), fit="native" if main else None, seed=SEED)
        values = stacked(call.columns, self.operation.forms.keys(), range(self.count))
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        for image in self.operation.of(ImageInput):
            tensors[image.name] = _scaled(self.images(image), image)
            if image.also:
                tensors[image.also.name] = _at_other_size(self.images(image), image, image.also)
        return tensors | {grid.name: self.grid() for grid in self.operation.of(GridInput)}

    def options(self) -> dict[str, Option]:
        """The same values as an app passes them, but for the main image and what the runtime draws from `SEED`.

        Where a value has several examples, one item has one after the other, unless the branch says which.
        """
        images = {image.name: self.images(image) for image in self.operation.of(ImageInput)}
        firsts = {name: each[0] for name, each in images.items()}
        options: dict[str, Option] = {SIZE: self.result} if self.operation.size else {}
        for value in self.operation.free_inputs:
            chosen = self.branch.get(value.name)
            examples = images.get(value.name) or ([chosen] if chosen else value.examples(firsts))
            if examples:
                options[value.name] = cast("Option", [examples[index % len(examples)] for index in range(self.count)])
        return options | self._maps_in_place_of_zeros(options)

    def _maps_in_place_of_zeros(self, options: Mapping[str, Option]) -> dict[str, Option]:
        """Random numbers for the random inputs that are zeros when nobody gives them: zeros hide what they do."""
        main = self.operation.main_image
        sources = self.images(main) if main else None
        call = gathering(self.operation, sources, options, count=self.count, fit="native" if main else None, seed=SEED)
        generator = np.random.default_rng(SEED)
        return {
            value.name: generator.standard_normal((self.count, *value.shape_of(call, 0)), dtype=np.float32)
            for value in self.operation.of(RandomInput)
            if not value.is_drawn
        }


def calls(operation: Operation) -> Iterator[Call]:
    """Every branch at every edge size (own, smallest, smallest and not square) and batch."""
    main = operation.main_image
    sizes = edge_sizes(main.size) if main else edge_results(operation.size)
    for branch in operation.branches():
        for size in sizes:
            yield from (Call(operation, size, count, branch) for count in BATCHES)


def edge_sizes(rule: SizeRule) -> list[Size]:
    """The own size; for free sizes also the smallest one, and the smallest ones that are not square."""
    own = (rule.height, rule.width)
    if not rule.dynamic:
        return [own]
    small, next_one = smallest(rule), smallest(rule) + rule.multiple
    sizes = (own, (small, small), (small, next_one), (next_one, small))
    return list(dict.fromkeys(size for size in sizes if rule.accepts(*size)))


def edge_results(value: SizeInput | None) -> list[Size]:
    """The own size of the result, the smallest one, and a wider one; of none, where nobody chooses."""
    if value is None:
        return [(0, 0)]
    own, small = (value.height, value.width), (value.minimum_height, value.minimum_width)
    wide = (value.height, value.width + 2 * value.multiple)
    return list(dict.fromkeys(size for size in (own, small, wide) if value.accepts(*size)))


def smallest(rule: SizeRule) -> int:
    """The smallest side (pixels) that a rule with free sizes accepts."""
    return -(-rule.minimum // rule.multiple) * rule.multiple


def own_size(operation: Operation) -> Size:
    """Height and width that the model was trained at, (0, 0) without an image and a size."""
    if operation.main_image:
        return operation.main_image.size.height, operation.main_image.size.width
    return (operation.size.height, operation.size.width) if operation.size else (0, 0)


def _at_other_size(images: Sequence[Levels], value: ImageInput, also: Also) -> Tensor:
    """SinGAN's resize as torch computes it; no other kernel is known here."""
    if value.resize != SINGAN:
        raise ConformanceError(f"{also.name!r} is resampled by {value.resize.kernel}", expected="the kernel 'singan'")
    return resample_to(_scaled(images, value), (also.height, also.width))


def _scaled(images: Sequence[Levels], value: ImageInput) -> Tensor:
    low, high = value.value_range
    stacked = np.stack(images)[..., : value.channels].astype(np.float32).transpose(0, 3, 1, 2) / 255
    return torch.from_numpy(stacked * (high - low) + low)
