"""pix2pix as a model of the registry: one generator, one operation, one graph with both test-time behaviours."""

from __future__ import annotations

import math
from collections.abc import Mapping

from i2i_plugin_pix2pix.config import PRESETS, Config
from i2i_plugin_pix2pix.networks import ResNet, UNet, make_generator
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import (
    BICUBIC,
    GraphCall,
    ImageInput,
    ImageOutput,
    LabelInput,
    LatentInput,
    Operation,
    SizeRule,
    best_fit,
)
from i2i_runtime.schema.operations import Input
from i2i_toolkit import FIRST_DROPOUT_LEVEL, Translation
from i2i_toolkit.networks.generators import BEHAVIOURS

GENERATOR = "generator"


class Pix2Pix(Model[Config]):
    """Translation learned from pairs of images."""

    name = "pix2pix"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = make_generator(config)

    @property
    def networks(self) -> Mapping[str, UNet | ResNet]:
        """The generator."""
        return {GENERATOR: self.generator}

    def operations(self) -> tuple[Operation, ...]:
        """`translate`, as the paper tests or deterministically where the two differ."""
        inputs: list[Input] = [
            ImageInput(
                name="image",
                summary="an image like the first of each training pair",
                channels=self.config.input_channels,
                size=self._size_rule(),
                fit=best_fit(self._size_rule()),
                resize=BICUBIC,
            )
        ]
        if self.config.behaviours_differ:
            inputs.append(
                LabelInput(
                    name="behaviour",
                    summary="paper: the image's own statistics, and dropout as noise (the published results); "
                    "deterministic: the training's running statistics, no noise. They look different",
                    names=BEHAVIOURS,
                    default="paper",
                )
            )
        if self.config.dropout_shapes:
            inputs.append(
                LatentInput(
                    name="noise", summary="what dropout leaves out", shape=(self._noise_size(),), distribution="uniform"
                )
            )
        names = [value.name for value in inputs]
        return (
            Operation(
                name="translate",
                summary="the first image of a pair to the second",
                inputs=tuple(inputs),
                outputs=(
                    ImageOutput(name="image", summary="the translated image", channels=self.config.output_channels),
                ),
                steps=(
                    GraphCall(
                        graph=GENERATOR,
                        inputs=dict(zip(names, names, strict=True)),
                        outputs={"translation": "image"},
                    ),
                ),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """The generator: image, and where they matter behaviour and noise -> translation."""
        side, batch = self.config.image_size, Axis("batch", 2)
        sides: tuple[int | Axis, ...] = (side, side)
        if self.config.any_size:
            free = (self.config.architecture.multiple, self.config.architecture.smallest_side)
            sides = tuple(Axis(name, side, *free) for name in ("height", "width"))
        inputs = [GraphInput("image", (batch, self.config.input_channels, *sides), values="image")]
        if self.config.behaviours_differ:
            inputs.append(GraphInput("behaviour", (batch,), values="index", count=len(BEHAVIOURS)))
        if self.config.dropout_shapes:
            inputs.append(GraphInput("noise", (batch, self._noise_size()), values="uniform"))
        graph = Graph(
            module=Translation(self.generator, self.config.dropout_shapes),
            inputs=tuple(inputs),
            outputs=("translation",),
            images=frozenset({"translation"}),
        )
        return {GENERATOR: graph}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels; a U-Net with one level of dropout at 64 pixels, or a ResNet of one block at 32."""
        small = {"image_size": 2 ** (FIRST_DROPOUT_LEVEL + 1), "depth": FIRST_DROPOUT_LEVEL + 1}
        if config.generator == "resnet":
            small = {"image_size": 32, "depth": 1}
        return config.model_copy(update={"channels": 4, **small})

    def _noise_size(self) -> int:
        return sum(math.prod(shape) for shape in self.config.dropout_shapes)

    def _size_rule(self) -> SizeRule:
        side = self.config.image_size
        return SizeRule(
            height=side,
            width=side,
            dynamic=self.config.any_size,
            multiple=self.config.architecture.multiple,
            minimum=self.config.architecture.smallest_side,
        )
