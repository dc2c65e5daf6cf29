"""CycleGAN as a model of the registry: two generators, one operation, one graph per direction."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_cyclegan.config import PRESETS, Config
from i2i_plugin_cyclegan.networks import FromColour
from i2i_registry import Graph, Model
from i2i_runtime import BICUBIC, ImageOutput, Operation
from i2i_toolkit import (
    A_TO_B,
    B_TO_A,
    FIRST_DROPOUT_LEVEL,
    Translation,
    behaviour_inputs,
    make_generator,
    square_size,
    translated_image,
    two_way_translation,
)


class CycleGAN(Model[Config]):
    """Unpaired translation between two domains, in both directions."""

    name = "cyclegan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: make_generator(config.architecture, config.channels_a, config.channels_b)}
        if config.directions == "both":
            self.generators[B_TO_A] = make_generator(config.architecture, config.channels_b, config.channels_a)

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that the label names, the second one when it names none."""
        config, architecture = self.config, self.config.architecture
        image = translated_image(
            square_size(config.image_size, architecture.multiple, architecture.smallest_side),
            BICUBIC,
            channels=config.image_channels,
            summary="an image of the other domain",
        )
        translated = ImageOutput(name="image", summary="the translated image", channels=config.translated_channels)
        operation = two_way_translation(
            config.domains,
            image,
            {"translation": translated},
            others=behaviour_inputs(config.norm),
            one_way=config.directions != "both",
        )
        return (operation,)

    def graphs(self) -> Mapping[str, Graph]:
        """One graph per direction: image, and with batch norm behaviour -> translation."""
        channels = {A_TO_B: self.config.channels_a, B_TO_A: self.config.channels_b}
        translations = {name: Translation(generator) for name, generator in self.generators.items()}
        return {
            name: Graph(each if channels[name] == self.config.image_channels else FromColour(each), ("translation",))
            for name, each in translations.items()
        }

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels; one residual block at 32 pixels, or as few levels as a U-Net has at 64."""
        side = 32 if config.generator == "resnet" else 2 ** (FIRST_DROPOUT_LEVEL + 1)
        sizes = {"image_size": side, "channels": 4, "res_blocks": 1, "levels": FIRST_DROPOUT_LEVEL}
        return config.model_copy(update=sizes)
