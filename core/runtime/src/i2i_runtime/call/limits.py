"""How large a call may become: told before the work, with the size that would do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from i2i_runtime.call import memory_use as footprint
from i2i_runtime.device.memory import as_bytes, free_bytes, memory_in_words
from i2i_runtime.errors import ImageError, UsageError

_BLOCK = 32
"""pixels"""

SHARE = 0.8
"""of the free memory that a call may take when the caller says nothing"""


@dataclass(frozen=True, slots=True)
class Extent:
    """The largest image or map of a run, and how many of them run together."""

    height: int
    width: int
    together: int = 1

    @property
    def pixels(self) -> int:
        """Of one item."""
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class Limits:
    """What the caller of `load` allows."""

    max_pixels: int | None
    """of one image at the size that the graphs see, and of one result"""
    memory: int | None
    """bytes for a call; None: SHARE of what is free when it comes, on the CPU only"""

    @classmethod
    def of(cls, max_pixels: int | None, memory: int | str | None) -> Limits:
        """Raise UsageError for what is no size."""
        if max_pixels is not None and (isinstance(max_pixels, bool) or max_pixels < 1):
            raise UsageError(found=f"max_pixels={max_pixels!r}", expected="a number of pixels, at least 1")
        return cls(max_pixels, None if memory is None else as_bytes(memory))

    def check(self, extent: Extent, rate: Callable[[], float], *, on_cpu: bool, way_out: str) -> None:
        """Compare a call with the limits. `rate` gives its bytes a pixel, and is asked only where that matters.

        Raises ImageError that says how large would do, and `way_out`.
        """
        size = f"{extent.width}x{extent.height}"
        if self.max_pixels is not None and extent.pixels > self.max_pixels:
            example = _example(extent, self.max_pixels)
            raise ImageError(
                found=f"an image of {size} has {extent.pixels:,} pixels",
                expected=f"at most {self.max_pixels:,}, as max_pixels says{example}",
                fix=way_out,
            )
        free = free_bytes() if self.memory is None and on_cpu else None
        allowed = self.memory if free is None else int(SHARE * free)
        pixels = extent.pixels * extent.together
        if allowed is None or pixels * footprint.MOST <= allowed:
            return
        each = rate()
        if pixels * each > allowed:
            whose = "that memory= allows" if free is None else f"that may be taken of {memory_in_words(free)} free"
            together = f", {extent.together} together," if extent.together > 1 else ""
            example = _example(extent, allowed / each / extent.together)
            raise ImageError(
                found=f"an image of {size}{together} takes about {memory_in_words(pixels * each)} of memory",
                expected=f"{memory_in_words(allowed)} {whose}{example}",
                fix=way_out + ("; batch_size=1" if extent.together > 1 else ""),
            )


def _example(extent: Extent, pixels: float) -> str:
    """Return a size of the same shape with at most so many pixels, in whole blocks, so that padding adds nothing."""
    shrink = math.sqrt(pixels / extent.pixels)
    height, width = (int(side * shrink) // _BLOCK * _BLOCK for side in (extent.height, extent.width))
    return f": {width}x{height} would do" if height and width else ""
