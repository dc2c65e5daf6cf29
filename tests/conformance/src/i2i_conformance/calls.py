"""Calls of an operation at the edges of what it declares, as torch takes them and as an app makes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_conformance.errors import ConformanceError
from i2i_runtime.call.arguments import Option
from i2i_runtime.schema.operations import (
    SINGAN,
    Also,
    GridInput,
    ImageInput,
    LabelInput,
    LatentInput,
    MaskInput,
    NoiseInput,
    Operation,
    ScalarInput,
    SizeInput,
    SizeRule,
)
from i2i_toolkit.layers.bicubic import resample_to

BATCHES = (1, 3)
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
        height, width = self.size if value.size.accepts(*self.size) else own_size(value)
        generator = np.random.default_rng([height, width, len(value.name)])
        shape = (height, width, value.channels)
        drawn = [generator.integers(0, 256, shape, np.uint8) for _ in range(self.count)]
        return [image.repeat(3, axis=2) if value.channels == 1 else image for image in drawn]

    def floats(self, value: ImageInput) -> list[NDArray[np.float32]]:
        """The same images in [0, 1]."""
        return [image.astype(np.float32) / np.float32(255) for image in self.images(value)]

    def labels(self, value: LabelInput) -> list[str]:
        """The branch's class; where no step depends on the label, one class after the other."""
        chosen = self.branch.get(value.name)
        return [chosen or value.names[index % len(value.names)] for index in range(self.count)]

    def latents(self, value: LatentInput) -> NDArray[np.float32]:
        """Random vectors [count, *shape], the same at every call."""
        generator = np.random.default_rng(len(value.name))
        return generator.uniform(-1, 1, (self.count, *value.shape)).astype(np.float32)

    @property
    def result(self) -> Size:
        """Height and width of the result, for operations whose caller chooses."""
        value = self.operation.size
        if value is None or value.image is None:
            return self.size
        down, across = (side // value.multiple for side in self.size)
        narrow, least = (across - 1) * value.multiple, max(value.minimum_width, value.multiple)
        return (down + 1) * value.multiple, narrow if narrow >= least else across * value.multiple

    def noise(self, value: NoiseInput) -> NDArray[np.float32]:
        """Random maps for a result of this size, the same at every call."""
        generator = np.random.default_rng([len(value.name), *self.result])
        return generator.standard_normal((self.count, *self._noise_shape(value)), dtype=np.float32)

    def _noise_shape(self, value: NoiseInput) -> tuple[int, int, int]:
        size = self.operation.size
        height, width = value.height, value.width
        if size is not None:
            rounded = round if size.rounding == "nearest" else math.floor
            height = rounded(Fraction(value.height * self.result[0], size.height))
            width = rounded(Fraction(value.width * self.result[1], size.width))
        return value.channels, height + value.border, width + value.border

    def grid(self) -> Tensor:
        """Where a bilinear resize of the image to the result looks, by the textbook formula."""
        axes = [
            (2 * ((np.arange(to) + 0.5) * of / to - 0.5).clip(0, of - 1) / (of - 1) - 1)
            for to, of in zip(self.result, self.size, strict=True)
        ]
        rows, columns = np.meshgrid(*axes, indexing="ij")
        grid = np.stack([columns, rows], axis=-1).astype(np.float32)
        return torch.from_numpy(np.broadcast_to(grid, (self.count, *grid.shape)).copy())

    def mask(self, value: MaskInput) -> Levels:
        """A white image: everything is marked, and no blur can change that."""
        image = next(v for v in self.operation.inputs if isinstance(v, ImageInput) and v.name == value.image)
        return np.full((*self.images(image)[0].shape[:2], 3), 255, np.uint8)

    def tensors(self) -> dict[str, Tensor]:
        """What torch is fed: images scaled to their value range by the textbook formula."""
        tensors: dict[str, Tensor] = {}
        for value in self.operation.inputs:
            match value:
                case ImageInput():
                    tensors[value.name] = _scaled(self.images(value), value)
                    if value.also:
                        tensors[value.also.name] = _at_other_size(self.images(value), value, value.also)
                case LabelInput():
                    tensors[value.name] = torch.tensor([value.names.index(label) for label in self.labels(value)])
                case LatentInput():
                    tensors[value.name] = torch.from_numpy(self.latents(value))
                case ScalarInput():
                    tensors[value.name] = torch.full((self.count,), value.default)
                case NoiseInput():
                    tensors[value.name] = torch.from_numpy(self.noise(value))
                case MaskInput():
                    tensors[value.name] = torch.ones(self.count, 1, *self.mask(value).shape[:2])
                case GridInput():
                    tensors[value.name] = self.grid()
                    if value.coverage:
                        tensors[value.coverage] = torch.ones(self.count, 1, *self.result)
                case SizeInput():
                    pass  # feeds no graph
        return tensors

    def options(self) -> dict[str, Option]:
        """The same values as an app passes them, but for the main image."""
        main = main_image(self.operation)
        options: dict[str, Option] = {}
        for value in self.operation.inputs:
            match value:
                case ImageInput() if value is not main:
                    options[value.name] = self.images(value)
                case LabelInput():
                    options[value.name] = self.labels(value)
                case LatentInput():
                    options[value.name] = self.latents(value)
                case NoiseInput():
                    options[value.name] = self.noise(value)
                case MaskInput():
                    options[value.name] = self.mask(value)
                case SizeInput():
                    options[value.name] = self.result
                case _:
                    pass
        return options


def calls(operation: Operation) -> Iterator[Call]:
    """Every branch at every edge size (own, smallest, smallest and not square) and batch."""
    main = main_image(operation)
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


def main_image(operation: Operation) -> ImageInput | None:
    """The image an operation works on, None when it starts from nothing."""
    return next((value for value in operation.inputs if isinstance(value, ImageInput)), None)


def own_size(value: ImageInput | SizeInput | None) -> Size:
    """Height and width that the model was trained at, (0, 0) without an image and a size."""
    match value:
        case None:
            return (0, 0)
        case SizeInput():
            return (value.height, value.width)
        case ImageInput():
            return (value.size.height, value.size.width)


def _at_other_size(images: Sequence[Levels], value: ImageInput, also: Also) -> Tensor:
    """SinGAN's resize as torch computes it; no other kernel is known here."""
    if value.resize != SINGAN:
        raise ConformanceError(f"{also.name!r} is resampled by {value.resize.kernel}", expected="the kernel 'singan'")
    return resample_to(_scaled(images, value), (also.height, also.width))


def _scaled(images: Sequence[Levels], value: ImageInput) -> Tensor:
    low, high = value.value_range
    stacked = np.stack(images)[..., : value.channels].astype(np.float32).transpose(0, 3, 1, 2) / 255
    return torch.from_numpy(stacked * (high - low) + low)
