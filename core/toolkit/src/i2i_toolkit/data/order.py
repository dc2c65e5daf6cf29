"""In which order a set is gone through: a new permutation per epoch, found without visiting what lies before."""

from __future__ import annotations

import functools

import numpy as np

from i2i_toolkit.seeds import derive


def shuffled(seed: int, part: str, count: int, position: int) -> int:
    """Index in [0, count) of the sample at `position` (0, 1, ...); each epoch of `count` positions visits all once."""
    epoch, offset = divmod(position, count)
    return int(_permutation(derive(seed, part, "order", epoch), count)[offset])


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng(seed).permutation(count)
