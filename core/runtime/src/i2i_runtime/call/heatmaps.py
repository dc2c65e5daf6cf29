"""Heat maps as images that people see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.image import heatmaps
from i2i_runtime.image.fitting import ResizedImage


def coloured(tensor: NDArray[np.float32], fitted: ResizedImage | None, *, unit: bool) -> NDArray[np.generic]:
    """Return the map of one item, [1, h, w], coloured, at the size of the image it belongs to: levels, or [0, 1]."""
    height, width = fitted.pixels.shape[:2] if fitted is not None else tensor.shape[1:]
    result: NDArray[np.generic] = heatmaps.render_heatmap(tensor[0], height, width)
    if fitted is not None:
        result = fitted.crop(result)
    return result.astype(np.float32) / np.float32(255) if unit else result
