"""What the image at stage 0 is changed by in training, so that the generator learns to mend it (paper, section 4.3).

The release takes harmonization's changes from a library; these are written anew with its probabilities and ranges.
Images are levels [h, w, 3], float64 from 0 to 255.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]
Change = Callable[[Levels, np.random.Generator], Levels]

LEVELS = 255.0

COLOUR_SHARE = 0.25
"""How often the colours of harmonization's image are changed."""
HOLES_SHARE = 0.9
"""How often parts of it are filled with one colour."""
HOLES = ((1, 30, 60), (2, 15, 30))
"""(count, least and most pixels a side); a hole is never larger than half the image's side."""

HUE, SATURATION, VALUE = 20 / 180, 30 / 255, 20 / 255
"""Largest shifts, as shares of each range."""
GAUSSIAN_VARIANCE = (10.0, 50.0)
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])

TILES = ((0.20, 0.50), (0.15, 0.30), (0.10, 0.20), (0.10, 0.15), (0.10, 0.15))
"""Number of tiles - 1 -> least and most of a tile's side, as a share of the image's."""
FAR_SHIFT, NEAR_SHIFT = (0.05, 0.15), (0.05, 0.10)
"""Least and most that a single tile, and each of several, is moved."""


def recoloured(image: Levels, generator: np.random.Generator) -> Levels:
    """For harmonization: sometimes other colours, mostly one or two holes."""
    if generator.random() < COLOUR_SHARE:
        image = _one_of((_noisy, _toned, _without_channel_order, _shifted_colours), image, generator)
    if generator.random() < HOLES_SHARE:
        image = _with_holes(image, generator)
    return image.clip(0, LEVELS)


def shuffled(image: Levels, generator: np.random.Generator) -> Levels:
    """For editing: one to five rectangles are copied to a place near by."""
    result = image.copy()
    count = int(generator.integers(1, len(TILES) + 1))
    for _ in range(count):
        shift = generator.uniform(*(FAR_SHIFT if count == 1 else NEAR_SHIFT)) * (1 if generator.random() < 0.5 else -1)  # noqa: PLR2004 - a coin
        sources, targets = zip(
            *(_tile(side, generator.uniform(*TILES[count - 1]), shift, generator) for side in image.shape[:2]),
            strict=True,
        )
        result[targets] = image[sources]
    return result


def _tile(side: int, share: float, shift: float, generator: np.random.Generator) -> tuple[slice, slice]:
    """Where along one axis a tile is taken from, and where it is put: both inside."""
    length, moved = max(int(share * side), 1), int(shift * side)
    low, high = max(0, -moved), side - length - max(0, moved)
    start = int(generator.integers(low, max(high, low) + 1))
    return slice(start, start + length), slice(start + moved, start + moved + length)


def _one_of(changes: Sequence[Change], image: Levels, generator: np.random.Generator) -> Levels:
    return changes[int(generator.integers(len(changes)))](image, generator)


def _noisy(image: Levels, generator: np.random.Generator) -> Levels:
    return _one_of((_times_noise, _plus_noise), image, generator)


def _times_noise(image: Levels, generator: np.random.Generator) -> Levels:
    return image * generator.uniform(0.5, 1.5, image.shape)


def _plus_noise(image: Levels, generator: np.random.Generator) -> Levels:
    return image + generator.normal(0.0, generator.uniform(*GAUSSIAN_VARIANCE) ** 0.5, image.shape)


def _toned(image: Levels, generator: np.random.Generator) -> Levels:
    return _one_of((_inverted, _sepia), image, generator)


def _inverted(image: Levels, _generator: np.random.Generator) -> Levels:
    return LEVELS - image


def _sepia(image: Levels, _generator: np.random.Generator) -> Levels:
    return image @ SEPIA.T


def _without_channel_order(image: Levels, generator: np.random.Generator) -> Levels:
    return _one_of((_channel_dropped, _channels_shuffled), image, generator)


def _channel_dropped(image: Levels, generator: np.random.Generator) -> Levels:
    result = image.copy()
    result[..., generator.integers(image.shape[2])] = 0
    return result


def _channels_shuffled(image: Levels, generator: np.random.Generator) -> Levels:
    return image[..., generator.permutation(image.shape[2])]


def _shifted_colours(image: Levels, generator: np.random.Generator) -> Levels:
    """Hue, saturation and value, each by one random shift."""
    shifts = generator.uniform(-1, 1, 3) * (HUE, SATURATION, VALUE)
    pixels = image.clip(0, LEVELS).reshape(-1, 3) / LEVELS
    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.tolist()]) + shifts
    hsv[:, 0] %= 1.0
    hsv[:, 1:] = hsv[:, 1:].clip(0, 1)
    return np.array([colorsys.hsv_to_rgb(*pixel) for pixel in hsv.tolist()]).reshape(image.shape) * LEVELS


def _with_holes(image: Levels, generator: np.random.Generator) -> Levels:
    count, least, most = HOLES[int(generator.integers(len(HOLES)))]
    result, sides = image.copy(), image.shape[:2]
    for _ in range(count):
        place: list[slice] = []
        for side in sides:
            length = min(int(generator.integers(least, most + 1)), max(side // 2, 1))
            start = int(generator.integers(side - length + 1))
            place.append(slice(start, start + length))
        result[tuple(place)] = generator.uniform(0, LEVELS, image.shape[2])
    return result
