"""How an image changes its size: what the papers' own code does, which differs visibly from one paper to the next.

Running and training bring images to size with `resampled`, so that a network meets what it has learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.image.pixels import RGB, Pixels
from i2i_runtime.image.resizing import Resize, Rounding

Levels: TypeAlias = NDArray[np.uint8 | np.float32]
"""[height, width, channels] from 0 to 255; float32 where they were not rounded"""

_FILTERS: Mapping[str, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_TOP = 255


def resampled(pixels: Pixels, width: int, height: int, resize: Resize) -> Levels:
    """Return the image at width x height pixels, each channel by itself.

    Where nothing is to be changed the levels stay as they are.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if resize.kernel == "singan":
        return _rounded(_as_singan(pixels, width, height), resize.rounding)
    if not resize.antialias:
        rows, columns = single_places(pixels.shape[0], height, resize), single_places(pixels.shape[1], width, resize)
        return _rounded(_along_both(rows, pixels.astype(np.float64), columns), resize.rounding)
    if resize.rounding == "nearest":  # in 8 bits all through, as the releases do it
        if pixels.shape[2] == RGB:  # in one pass
            return np.asarray(Image.fromarray(pixels).resize((width, height), _FILTERS[resize.kernel]))
        return _band_by_band(pixels, width, height, resize)
    return _rounded(_band_by_band(pixels.astype(np.float32), width, height, resize), resize.rounding)


def _band_by_band(levels: Levels, width: int, height: int, resize: Resize) -> Levels:
    bands = (Image.fromarray(np.ascontiguousarray(levels[:, :, index])) for index in range(levels.shape[2]))
    return np.stack([np.asarray(band.resize((width, height), _FILTERS[resize.kernel])) for band in bands], axis=2)


def _along_both(
    rows: NDArray[np.float64], levels: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.einsum("yh,hwc,xw->yxc", rows, levels, columns, optimize=True)


def single_places(length: int, samples: int, resize: Resize) -> NDArray[np.float64]:
    """Return the matrix [samples, length] that takes the middle of each new pixel from the old ones, unaveraged.

    Beyond the border the border's values are repeated. "box" is as wide as a pixel: the nearest one.
    """
    places = (np.arange(samples) + 0.5) * length / samples - 0.5
    first = np.floor(places).astype(int)
    matrix = np.zeros((samples, length))
    for step in range(-1, 3):
        away = np.abs(places - (first + step))
        if resize.kernel == "bicubic":
            weights = _cubic(away)
        elif resize.kernel == "bilinear":
            weights = np.maximum(0, 1 - away)
        else:
            weights = (np.floor(places + 0.5) == first + step).astype(np.float64)
        np.add.at(matrix, (np.arange(samples), np.clip(first + step, 0, length - 1)), weights)
    return matrix


def _rounded(levels: NDArray[np.generic], rounding: Rounding) -> Levels:
    inside = np.clip(levels.astype(np.float64), 0, _TOP)
    if rounding == "none":
        return inside.astype(np.float32)
    return (np.floor(inside) if rounding == "down" else np.floor(inside + 0.5)).astype(np.uint8)


def _as_singan(pixels: Pixels, width: int, height: int) -> NDArray[np.float64]:
    """Both axes in float64, from levels as the release cuts them off on their way through float32."""
    factors = (height / pixels.shape[0], width / pixels.shape[1])
    # The vertical factor alone decides whether the kernel is stretched, and it is so along both axes.
    stretches = [1 / factor if factors[0] < 1 else 1.0 for factor in factors]
    rows = cubic_matrix(pixels.shape[0], height, factors[0], stretches[0])
    columns = cubic_matrix(pixels.shape[1], width, factors[1], stretches[1])
    return _along_both(rows, cut_off(pixels), columns)


def cut_off(pixels: Pixels) -> NDArray[np.float64]:
    """Levels after the release's way to [-1, 1] in float32 and back, which truncates: 63 of 256 lose one."""
    signed = (pixels.astype(np.float32) / np.float32(_TOP) - np.float32(0.5)) * np.float32(2)
    unit = np.clip((signed + np.float32(1)) / np.float32(2), np.float32(0), np.float32(1))
    return np.floor(unit * np.float32(_TOP)).astype(np.float64)


def cubic_matrix(length: int, samples: int, factor: float, stretch: float) -> NDArray[np.float64]:
    """Return the matrix [samples, length] that resizes a line by `factor`, as SinGAN's release does it.

    Keys' kernel (a = -0.5), `stretch` times as wide as 4 values. Taps over the end are mirrored, those before the
    beginning are left out and the others make up for them: an accident that trained networks have learned to live with.
    """
    wanted = np.arange(1, samples + 1) / factor + 0.5 * (1 - 1 / factor)  # positions count from 1
    weights = _cubic((wanted[:, None] - np.arange(1, 2 * length + 1)) / stretch)
    total = weights.sum(axis=1, keepdims=True)
    weights /= np.where(total == 0, 1.0, total)
    return weights[:, :length] + weights[:, : length - 1 : -1]


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5, of width 4."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))  # noqa: PLR2004 - the kernel's reach
