"""Random walks in noise space: the noise maps of each frame of an animation (`operations.Walk`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Maps = Mapping[str, NDArray[np.float32]]
NoiseShapes = Mapping[str, tuple[int, ...]]
"""noise map -> channels, height, width"""


@dataclass(frozen=True, slots=True)
class _State:
    """A point of the walk, c * stored + fresh."""

    anchor: float
    fresh: Maps


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame is made from."""

    anchor: float
    """how much of the stored noise is added to the maps"""
    maps: Maps


def walk(shapes: NoiseShapes, *, first: float, pull: float, inertia: float, count: int, seed: int) -> Iterator[Frame]:
    """Yield the frames of a walk over noise maps of these shapes; see `operations.Walk` for the formula.

    Map by map, then frame by frame, fresh noise comes from NumPy's PCG64 of (seed, frame): a longer animation begins
    like a shorter one.
    """
    before = _State(1.0, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    drawn = _drawn(shapes, seed, 0)
    here = _State(1.0 - first, {name: first * noise for name, noise in drawn.items()})
    for frame in range(1, count + 1):
        drawn = _drawn(shapes, seed, frame)
        moved = {
            name: inertia * (here.fresh[name] - before.fresh[name]) + (1 - inertia) * drawn[name] for name in shapes
        }
        anchor = pull + (1 - pull) * (here.anchor + inertia * (here.anchor - before.anchor))
        fresh = {name: ((1 - pull) * (here.fresh[name] + moved[name])).astype(np.float32) for name in shapes}
        before, here = here, _State(anchor, fresh)
        yield Frame(anchor, fresh)


def _drawn(shapes: NoiseShapes, seed: int, frame: int) -> Maps:
    generator = np.random.Generator(np.random.PCG64([seed, frame]))
    return {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
