"""A set of images in an order of its own, each prepared with draws of its own: what several layouts are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from i2i_runtime.image.resampling import Levels
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.folders import read_again
from i2i_toolkit.data.order import shuffled
from i2i_toolkit.data.preparation import ChannelCount, Preparation, width_and_height
from i2i_toolkit.seeds import derive


@dataclass(frozen=True, slots=True)
class PreparedImages:
    """Images that are gone through in a new order every epoch; all draws are functions of seed, part and position."""

    part: str
    """names the set where a sample has several; its order and draws are its own"""
    paths: tuple[Path, ...]
    """in an order that depends on their names alone"""
    preparation: Preparation
    channels: ChannelCount
    seed: int
    """of order and augmentation"""
    cache: ImageCache[tuple[Levels]]
    """where scaled images are kept; several sets may share one"""

    def index(self, position: int) -> int:
        """Which of the images is the one at `position`."""
        return shuffled(self.seed, self.part, len(self.paths), position)

    def draw(self, position: int) -> Tensor:
        """Return the image at `position`, augmented: float32 [c, h, w] in [-1, 1]."""
        scaled = self._scaled(self.paths[self.index(position)])
        generator = np.random.default_rng(derive(self.seed, self.part, "augment", position))
        # Scaled sizes are what they are scaled to, so drawing for them is drawing for the image itself.
        return self.preparation.cut(scaled, self.preparation.draw(generator, *width_and_height(scaled)))

    def fitted(self, path: Path) -> Tensor:
        """Return an image as at test time, of this set or shown beside it."""
        return self.preparation.fitted(read_again(path, self.channels), self.channels)

    def _scaled(self, path: Path) -> Levels:
        """Return an image before it is cropped."""

        def decode() -> tuple[Levels]:
            image = read_again(path, self.channels)
            self.preparation.check(path, image)
            return (self.preparation.scaled(image, self.channels),)

        return self.cache.get(path, decode)[0]
