"""Soft masks: what is marked is widened by a disc, blurred, and stretched to [0, 1], so that no seam shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_CUT = 4.0
"""Standard deviations at which the Gaussian ends."""


def soften_mask(marked: NDArray[np.bool_], dilate_px: int, blur: float) -> NDArray[np.float32]:
    """[h, w]: widened by a disc (all pixels within that distance), blurred, the smallest value 0 and the largest 1.

    Where everything is marked the mask is 1 everywhere.
    """
    blurred = blurred_by(_dilated(marked, dilate_px).astype(np.float64), blur)
    low, high = float(blurred.min()), float(blurred.max())
    if high - low < np.finfo(np.float32).eps:
        return np.ones(marked.shape, dtype=np.float32)
    return ((blurred - low) / (high - low)).astype(np.float32)


def _dilated(marked: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Row by row: a disc is a stack of runs, and a run is a difference of running sums."""
    height, width = marked.shape
    result = np.zeros_like(marked)
    for down in range(-radius, radius + 1):
        if abs(down) >= height:
            continue
        reach = math.isqrt(radius * radius - down * down)
        padded = np.pad(marked, ((0, 0), (reach + 1, reach)))
        sums = np.cumsum(padded, axis=1, dtype=np.int64)
        widened = sums[:, 2 * reach + 1 :] - sums[:, :width] > 0
        to, source = (
            (slice(down, height), slice(0, height - down))
            if down >= 0
            else (
                slice(0, height + down),
                slice(-down, height),
            )
        )
        result[to] |= widened[source]
    return result


def blurred_by(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian blur, cut at four standard deviations, beyond the border the border's values."""
    if sigma == 0:
        return values
    radius = int(_CUT * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        widths = [(0, 0), (0, 0)]
        widths[axis] = (radius, radius)
        padded = np.pad(values, widths, mode="edge")
        values = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
    return values
