"""pix2pix as a model of the registry: one generator, one operation, one graph with both test-time behaviours."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_pix2pix.config import PRESETS, Config
from i2i_plugin_pix2pix.networks import make_generator
from i2i_registry import Graph, Model
from i2i_runtime import BICUBIC, ImageOutput, Operation
from i2i_toolkit import (
    FIRST_DROPOUT_LEVEL,
    Translation,
    behaviour_inputs,
    graph_call,
    square_size,
    translated_image,
)

GENERATOR = "generator"


class Pix2Pix(Model[Config]):
    """Translation learned from pairs of images."""

    name = "pix2pix"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = make_generator(config)

    def operations(self) -> tuple[Operation, ...]:
        """`translate`, as the paper tests or deterministically where the two differ."""
        config, architecture = self.config, self.config.architecture
        multiple = architecture.multiple if config.any_size else None
        image = translated_image(
            square_size(config.image_size, multiple, architecture.smallest_side),
            BICUBIC,
            channels=config.input_channels,
            summary="an image like the first of each training pair",
        )
        inputs = (image, *behaviour_inputs(config.norm, config.dropout_shapes))
        translated = ImageOutput(name="image", summary="the translated image", channels=config.output_channels)
        generate = graph_call(GENERATOR, *(value.name for value in inputs), translation="image")
        summary = "the first image of a pair to the second"
        return (Operation(name="translate", summary=summary, inputs=inputs, outputs=(translated,), steps=(generate,)),)

    def graphs(self) -> Mapping[str, Graph]:
        """Return the generator: image, and where they matter behaviour and noise -> translation."""
        return {GENERATOR: Graph(Translation(self.generator, self.config.dropout_shapes), ("translation",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels; a U-Net with one level of dropout at 64 pixels, or a ResNet of one block at 32."""
        small = {"image_size": 2 ** (FIRST_DROPOUT_LEVEL + 1), "depth": FIRST_DROPOUT_LEVEL + 1}
        if config.generator == "resnet":
            small = {"image_size": 32, "depth": 1}
        return config.model_copy(update={"channels": 4, **small})
