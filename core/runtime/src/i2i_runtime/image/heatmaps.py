"""Attention maps as people see them: stretched over the full range, enlarged, coloured from blue to red."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def render_heatmap(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Return a map [h, w] as an RGB image [height, width, 3]: smallest value blue, largest red.

    Follows the overlay of the U-GAT-IT release step by step: min-max, truncation to 8 bits, bilinear, JET.
    """
    return np.rint(jet(enlarge(levels(heatmap), height, width)) * 255).astype(np.uint8)


def levels(heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretch a map to 0..255 and truncate; a constant map becomes 0 instead of a division by zero."""
    shifted = heatmap - heatmap.min()
    top = shifted.max()
    if top > 0:
        shifted = shifted / top
    return (shifted * 255).astype(np.uint8)


def enlarge(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bilinear with half-pixel centres and clamped borders, rounded; [h, w] to [height, width]."""
    top, bottom, down = _neighbours(image.shape[0], height)
    left, right, across = _neighbours(image.shape[1], width)
    values = image.astype(np.float32)
    rows = values[top] * (1 - down)[:, None] + values[bottom] * down[:, None]
    return np.rint(rows[:, left] * (1 - across) + rows[:, right] * across).astype(np.uint8)


def _neighbours(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each target position: the two source positions around it, and the share of the second."""
    centres = (np.arange(target, dtype=np.float32) + 0.5) * (source / target) - 0.5
    centres = np.clip(centres, 0, source - 1)
    first = np.floor(centres).astype(np.intp)
    second = np.minimum(first + 1, source - 1)
    return first, second, (centres - first).astype(np.float32)


def jet(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the JET colour map, RGB in [0, 1]: clip(1.5 - |4v - k|, 0, 1) with k = 3, 2, 1 for red, green, blue."""
    value = grey.astype(np.float32)[..., None] * np.float32(4 / 255)
    peaks = np.array([3, 2, 1], dtype=np.float32)
    return np.clip(np.float32(1.5) - np.abs(value - peaks), 0, 1)
