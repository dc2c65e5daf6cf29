"""New Paper as a model of the registry: one pyramid, two operations, one graph."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_registry import Graph, Model
from i2i_runtime import Operation
from i2i_toolkit import NoisePyramid, noise_map

from .config import PRESETS, Config
from .networks import Pyramid

PYRAMID = "pyramid"


class NewPaper(Model[Config]):
    """A generative model of one image."""

    name = "newpaper"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.pyramid = Pyramid(config)

    def operations(self) -> tuple[Operation, ...]:
        """`sample` in any size, and `reconstruct` the training image."""
        sizes = self.config.sizes
        maps = [noise_map(scale, (3, *size), border=0) for scale, size in enumerate(sizes)]
        pyramid = NoisePyramid(PYRAMID, "sampled", maps)
        (height, width), field = sizes[-1], self.config.field
        size = pyramid.size(least=(min(field, height), min(field, width)))
        start = pyramid.start("scales below it show the training image: the finer, the smaller is what changes")
        return pyramid.sample(size, start), pyramid.reconstruct()

    def graphs(self) -> Mapping[str, Graph]:
        """The pyramid: start scale, share of the stored noise, and a map of noise for each scale -> sample."""
        return {PYRAMID: Graph(self.pyramid, ("sampled",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Three scales of four channels and two layers, for an image of 24x32 pixels."""
        return config.model_copy(update={"height": 24, "width": 32, "coarsest": 12, "channels": 4, "layers": 2})
