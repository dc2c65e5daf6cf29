"""Calls of an operation at the edges of what it declares, as torch takes them and as an app makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_runtime.inputs import Option
from i2i_runtime.operations import ImageInput, LabelInput, LatentInput, Operation, ScalarInput, SizeRule

BATCHES = (1, 3)
Levels = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation: `count` items, every picture at `size` (pixels) where its rule allows that."""

    operation: Operation
    size: Size
    count: int
    branch: Mapping[str, str]

    def __str__(self) -> str:
        words = "".join(f", {name}={label}" for name, label in self.branch.items())
        return f"{self.operation.name} at {self.size[0]}x{self.size[1]}, batch {self.count}{words}"

    def pictures(self, value: ImageInput) -> list[Levels]:
        """Random pictures [h, w, 3], the same at every call."""
        height, width = self.size if value.size.accepts(*self.size) else own_size(value)
        generator = np.random.default_rng([height, width, len(value.name)])
        shape = (height, width, value.channels)
        drawn = [generator.integers(0, 256, shape, np.uint8) for _ in range(self.count)]
        return [np.broadcast_to(picture, (height, width, 3)).copy() for picture in drawn]

    def floats(self, value: ImageInput) -> list[NDArray[np.float32]]:
        """The same pictures in [0, 1]."""
        return [picture.astype(np.float32) / np.float32(255) for picture in self.pictures(value)]

    def labels(self, value: LabelInput) -> list[str]:
        """The branch's class; where no step depends on the label, one class after the other."""
        chosen = self.branch.get(value.name)
        return [chosen or value.names[index % len(value.names)] for index in range(self.count)]

    def latents(self, value: LatentInput) -> NDArray[np.float32]:
        """Random vectors [count, *shape], the same at every call."""
        generator = np.random.default_rng(len(value.name))
        return generator.uniform(-1, 1, (self.count, *value.shape)).astype(np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What torch is fed: pictures scaled to their value range by the textbook formula."""
        tensors: dict[str, Tensor] = {}
        for value in self.operation.inputs:
            match value:
                case ImageInput():
                    tensors[value.name] = _scaled(self.pictures(value), value)
                case LabelInput():
                    tensors[value.name] = torch.tensor([value.names.index(label) for label in self.labels(value)])
                case LatentInput():
                    tensors[value.name] = torch.from_numpy(self.latents(value))
                case ScalarInput():
                    tensors[value.name] = torch.full((self.count,), value.default)
        return tensors

    def options(self) -> dict[str, Option]:
        """The same values as an app passes them, but for the main picture."""
        main = main_picture(self.operation)
        options: dict[str, Option] = {}
        for value in self.operation.inputs:
            match value:
                case ImageInput() if value is not main:
                    options[value.name] = self.pictures(value)
                case LabelInput():
                    options[value.name] = self.labels(value)
                case LatentInput():
                    options[value.name] = self.latents(value)
                case _:
                    pass
        return options


def calls(operation: Operation) -> Iterator[Call]:
    """Every branch at every edge size (own, smallest, smallest and not square) and batch."""
    main = main_picture(operation)
    sizes = edge_sizes(main.size) if main else [(0, 0)]
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


def smallest(rule: SizeRule) -> int:
    """The smallest side (pixels) that a rule with free sizes accepts."""
    return -(-rule.minimum // rule.multiple) * rule.multiple


def main_picture(operation: Operation) -> ImageInput | None:
    """The picture an operation works on, None when it starts from nothing."""
    return next((value for value in operation.inputs if isinstance(value, ImageInput)), None)


def own_size(value: ImageInput | None) -> Size:
    """Height and width that the model was trained at, (0, 0) without a picture."""
    return (value.size.height, value.size.width) if value else (0, 0)


def _scaled(pictures: Sequence[Levels], value: ImageInput) -> Tensor:
    low, high = value.value_range
    stacked = np.stack(pictures)[..., : value.channels].astype(np.float32).transpose(0, 3, 1, 2) / 255
    return torch.from_numpy(stacked * (high - low) + low)
