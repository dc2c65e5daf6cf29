"""New Paper as a model of the registry: one generator, one operation, one graph."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_registry import Graph, Model
from i2i_runtime import BICUBIC, ImageOutput, Operation
from i2i_toolkit import graph_call, square_size, translated_image

from .config import PRESETS, Config
from .networks import UNet

GENERATOR = "generator"


class NewPaper(Model[Config]):
    """Translation learned from pairs of images."""

    name = "newpaper"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = UNet(config)

    def operations(self) -> tuple[Operation, ...]:
        """`translate`: an image like the first of a pair becomes one like the second."""
        config = self.config
        image = translated_image(square_size(config.image_size, config.multiple, config.smallest_side), BICUBIC)
        translated = ImageOutput(name="image", summary="the translated image")
        call = graph_call(GENERATOR, "image", translation="image")
        summary = "the first image of a pair to the second"
        return (Operation(name="translate", summary=summary, inputs=(image,), outputs=(translated,), steps=(call,)),)

    def graphs(self) -> Mapping[str, Graph]:
        """The generator: image -> translation."""
        return {GENERATOR: Graph(self.generator, ("translation",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels and three levels, for 32 pixels."""
        return config.model_copy(update={"image_size": 32, "depth": 3, "channels": 4})
