"""New Paper as a model of the registry: two generators, one operation, one graph for each direction."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_registry import Graph, Model
from i2i_runtime import BICUBIC, ImageOutput, Operation
from i2i_toolkit import A_TO_B, B_TO_A, square_size, translated_image, two_way_translation

from .config import MULTIPLE, PRESETS, Config
from .networks import Generator


class NewPaper(Model[Config]):
    """Translation between two domains, learned without pairs, in both directions."""

    name = "newpaper"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: Generator(config), B_TO_A: Generator(config)}

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that a label names, the second one when it names none."""
        image = translated_image(square_size(self.config.image_size, MULTIPLE, minimum=2 * MULTIPLE), BICUBIC)
        translated = ImageOutput(name="image", summary="the translated image")
        return (two_way_translation(self.config.domains, image, {"translation": translated}),)

    def graphs(self) -> Mapping[str, Graph]:
        """A graph for each direction: image -> translation."""
        return {direction: Graph(generator, ("translation",)) for direction, generator in self.generators.items()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels and one block, for 32 pixels."""
        return config.model_copy(update={"image_size": 32, "channels": 4, "blocks": 1})
