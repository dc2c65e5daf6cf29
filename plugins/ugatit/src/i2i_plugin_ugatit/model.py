"""U-GAT-IT as a model of the registry: two generators, one operation, one graph per direction."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_ugatit.config import DOWNSAMPLING, PRESETS, SMALLEST_SIDE, Config
from i2i_plugin_ugatit.networks import Generator, ImageAndAttention
from i2i_registry import Graph, Model
from i2i_runtime import BILINEAR, HeatmapOutput, ImageOutput, Operation
from i2i_toolkit import A_TO_B, B_TO_A, square_size, translated_image, two_way_translation


class UGATIT(Model[Config]):
    """Unpaired translation between two domains, in both directions, with a map of where it looked."""

    name = "ugatit"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: Generator(config), B_TO_A: Generator(config)}

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that the label names, the second one when it names none."""
        config = self.config
        # The full model flattens its feature map into a linear layer, which fixes height and width.
        size = square_size(config.image_size, DOWNSAMPLING if config.pooled_style else None, SMALLEST_SIDE)
        outputs = {
            "translated": ImageOutput(name="image", summary="the translated image"),
            "attention": HeatmapOutput(name="attention", summary="where the generator looked"),
        }
        image = translated_image(size, BILINEAR, summary="an image of the other domain")
        return (two_way_translation(config.domains, image, outputs),)

    def graphs(self) -> Mapping[str, Graph]:
        """One graph per direction: image -> translated, attention."""
        outputs = ("translated", "attention")
        return {name: Graph(ImageAndAttention(generator), outputs) for name, generator in self.generators.items()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels, one residual block, 32 pixels."""
        return config.model_copy(update={"image_size": 32, "channels": 4, "res_blocks": 1})
