"""Decoded images kept in memory, as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=tuple[NDArray[np.generic], ...])


class ImageCache(Generic[T]):
    """What was decoded stays until the memory given is full; what comes later is decoded every time.

    An entry is what belongs together: one image, both of a pair, an image and its label map. Nothing is thrown out: an
    epoch visits everything once, so what was used longest ago is what comes next.

    Args:
        room: bytes of decoded pixels.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: dict[Hashable, T] = {}

    def get(self, key: Hashable, decode: Callable[[], T]) -> T:
        """Return the images of this key, from `decode` unless they are kept."""
        if key in self._kept:
            return self._kept[key]
        images = decode()
        size = sum(image.nbytes for image in images)
        if size <= self._room:
            self._room -= size
            self._kept[key] = images
        return images
