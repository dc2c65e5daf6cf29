"""Where one thing ends and another of its class begins: edges of a map of instances (SPADE, appendix; pix2pixHD)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import ImageError
from i2i_runtime.image.index_maps import IndexMap, read_index_map, resized_map
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.segmentation import SegmentationColumn, SegmentationInput, given_maps
from i2i_runtime.records import Name, Side


class InstancesInput(InputKind):
    """Edges between instances: float32 [n, 1, h, w], 1 where a pixel and one beside it are of two instances, else 0.

    A caller gives a map whose numbers tell the instances apart, of the size of the label map: a path, bytes, a PIL
    image or an array [h, w]. It is brought to the size of the graph before the edges are drawn.
    """

    kind: Literal["instances"] = "instances"
    labels: Name
    """the label map of the call that it belongs to, and whose size it has"""
    height: Side
    width: Side

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the edges."""
        del inputs
        return {self.name: Form((BATCH, 1, self.height, self.width), "whole", 0, 1)}

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Return its label map."""
        del inputs
        return frozenset((self.labels,))

    def check(self, inputs: Inputs) -> None:
        """Check that the label map is one, and of the same size."""
        labels = inputs.get(self.labels)
        if not isinstance(labels, SegmentationInput) or (labels.height, labels.width) != (self.height, self.width):
            raise ValueError(
                f"{self.name!r} belongs to {self.labels!r}, which is no segmentation of {self.height}x{self.width}"
            )

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Read each map once, however many items it is for. Raises OptionError or ImageError."""
        labels = gathering.column(self.labels, SegmentationColumn)
        maps = made_once(given_maps(self, gathering), read_index_map)
        for numbers, expected in zip(maps, labels.given, strict=True):
            self._check_size(numbers, expected)
        edges = made_once(maps, lambda numbers: edges_of(resized_map(numbers, self.height, self.width)))
        return {self.name: ArrayColumn(edges)}

    def _check_size(self, numbers: IndexMap, expected: tuple[int, int]) -> None:
        height, width = numbers.shape
        if (height, width) != expected:
            raise ImageError(
                found=f"the map {self.name!r} has {width}x{height} pixels (width x height)",
                expected=f"{expected[1]}x{expected[0]}, the size of the label map {self.labels!r}",
            )

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path."""
        return (CommandOption(self.name, self.summary, "path", required=True),)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return two instances side by side."""
        del images
        row = np.arange(self.width) >= self.width // 2
        return (np.broadcast_to(row, (self.height, self.width)).astype(np.int32),)

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return edges where there are none, and none where there are some."""
        return [1 - tensor.astype(np.float32)]


def edges_of(instances: IndexMap) -> NDArray[np.float32]:
    """Return [1, h, w]: 1 where one of the four pixels beside it is of another instance (SPADE's release)."""
    edges = np.zeros(instances.shape, dtype=bool)
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges[None].astype(np.float32)
