"""Decoded images kept in memory, as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from i2i_runtime.image.resampling import Levels

Images = tuple[Levels, ...]


class ImageCache:
    """What was decoded stays until the memory given is full; what comes later is decoded every time.

    Nothing is thrown out: an epoch visits everything once, so what was used longest ago is what comes next.

    Args:
        room: bytes of decoded pixels.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: dict[Hashable, Images] = {}

    def get(self, key: Hashable, decode: Callable[[], Images]) -> Images:
        """The images of this key, from `decode` unless they are kept."""
        if key in self._kept:
            return self._kept[key]
        images = decode()
        size = sum(image.nbytes for image in images)
        if size <= self._room:
            self._room -= size
            self._kept[key] = images
        return images
