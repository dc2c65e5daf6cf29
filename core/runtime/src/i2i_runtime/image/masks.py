"""From an image that somebody painted over to a soft mask (SinGAN's editing and harmonisation).

What is not black counts; it is widened by a disc, blurred, and stretched to [0, 1], so that the blend has no seam.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.errors import ImageError
from i2i_runtime.image.fitting import Fitted
from i2i_runtime.kinds.spatial import MaskInput

_CUT = 4.0
"""Standard deviations at which the Gaussian ends."""


def mask_of(value: MaskInput, image: Image.Image, fitted: Fitted, size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask [1, h, w] that belongs to a fitted image, which had this size (width, height) before.

    Raises ImageError when the mask has another size, or marks nothing.
    """
    if image.size != size:
        raise ImageError(
            found=f"the mask {value.name!r} has {image.size[0]}x{image.size[1]} pixels (width x height)",
            expected=f"{size[0]}x{size[1]}, the size of the image {value.image!r}",
            fix="paint the mask over a copy of the image, and save it at the same size",
        )
    marked = np.asarray((np.asarray(image.convert("RGB")) > 0).any(axis=-1), dtype=np.float32)
    width, height = size
    top, left, bottom, right = fitted.seen
    marked = marked[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    placed = np.zeros(fitted.pixels.shape[:2], dtype=bool)
    # The mean of what a pixel covers is 0 only if nothing in it is marked: a thin line is not lost.
    inside = np.asarray(Image.fromarray(marked).resize((fitted.width, fitted.height), Image.Resampling.BOX)) > 0
    placed[fitted.top : fitted.top + fitted.height, fitted.left : fitted.left + fitted.width] = inside
    if not placed.any():
        raise ImageError(
            found=f"the mask {value.name!r} is black everywhere",
            expected="something that is not black where the image is to change",
            fix="paint the changed area white",
        )
    return soften(placed, value.dilate_px, value.blur)[None]


def soften(marked: NDArray[np.bool_], dilate_px: int, blur: float) -> NDArray[np.float32]:
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
    """A Gaussian blur, cut at four standard deviations, beyond the border the border's values."""
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
