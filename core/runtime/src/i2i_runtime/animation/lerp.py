"""From one vector to another in equal steps, for an animation of one style turning into another.

bundle.translate(image, count=25, latent=slerp(start, end, 25))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PARALLEL = 1e-10
"""sine of the angle below which two latents point the same way, and the line between them is all there is"""


def lerp(start: NDArray[np.floating], end: NDArray[np.floating], frames: int) -> NDArray[np.float32]:
    """`frames` vectors [frames, z] on the straight line from `start` [z] to `end` [z], both included."""
    shares = _shares(frames)
    return ((1 - shares) * start.astype(np.float64) + shares * end.astype(np.float64)).astype(np.float32)


def slerp(start: NDArray[np.floating], end: NDArray[np.floating], frames: int) -> NDArray[np.float32]:
    """`frames` vectors [frames, z] on the arc from `start` [z] to `end` [z], both included (Shoemake 1985).

    Latents of a normal distribution lie near a sphere: the arc stays there, the line cuts through its inside, where
    no training sample was. The angle is that of the directions, the lengths are blended with the same weights.
    """
    first, last = start.astype(np.float64), end.astype(np.float64)
    directions = [vector / (np.linalg.norm(vector) + _PARALLEL) for vector in (first, last)]
    angle = np.arccos(np.clip(np.dot(*directions), -1, 1))
    if abs(np.sin(angle)) < _PARALLEL:
        return lerp(start, end, frames)
    shares = _shares(frames)
    arc = (np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last) / np.sin(angle)
    return arc.astype(np.float32)


def _shares(frames: int) -> NDArray[np.float64]:
    """How far each frame is on its way, [frames, 1]."""
    if frames < 2:  # noqa: PLR2004 - both ends are frames
        raise ValueError(f"{frames} frames: an interpolation has at least its two ends")
    return np.linspace(0.0, 1.0, frames)[:, None]
