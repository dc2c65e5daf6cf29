"""CycleGAN as a model of the registry: two generators, one operation, one graph per direction."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2i_plugin_cyclegan.config import PRESETS, Config
from i2i_plugin_cyclegan.networks import ResNet, UNet, make_generator
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import BICUBIC, GraphCall, ImageInput, ImageOutput, LabelInput, Operation, SizeRule, best_fit
from i2i_runtime.schema.operations import Input
from i2i_toolkit import FIRST_DROPOUT_LEVEL, Translation
from i2i_toolkit.networks.generators import BEHAVIOURS

A_TO_B = "a_to_b"
B_TO_A = "b_to_a"

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue weigh in a grey image (ITU-R BT.601; release, on images in [-1, 1])."""


class FromColour(nn.Module):
    """A translation of grey images that takes colour, so that one operation serves a grey and a colour domain."""

    luma: Tensor

    def __init__(self, translation: Translation) -> None:
        super().__init__()
        self.translation = translation
        self.register_buffer("luma", torch.tensor(LUMA)[:, None, None], persistent=False)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], behaviour: Int64[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b k h w"]:
        """Make the image grey and translate it."""
        return self.translation((image * self.luma).sum(1, keepdim=True), behaviour)


class CycleGAN(Model[Config]):
    """Unpaired translation between two domains, in both directions."""

    name = "cyclegan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: make_generator(config, config.channels_a, config.channels_b)}
        if config.directions == "both":
            self.generators[B_TO_A] = make_generator(config, config.channels_b, config.channels_a)

    @property
    def networks(self) -> Mapping[str, UNet | ResNet]:
        """The generators `a_to_b` and, where it has both directions, `b_to_a`."""
        return self.generators

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that the label names, the second one when it names none."""
        domain_a, domain_b = self.config.domains
        inputs: list[Input] = [
            ImageInput(
                name="image",
                summary="an image of the other domain",
                channels=self.config.image_channels,
                size=self._size_rule(),
                fit=best_fit(self._size_rule()),
                resize=BICUBIC,
            )
        ]
        directions: dict[str, dict[str, str]] = {A_TO_B: {}}
        if self.config.directions == "both":
            directions = {A_TO_B: {"domain": domain_b}, B_TO_A: {"domain": domain_a}}
            inputs.append(
                LabelInput(name="domain", summary="what the image becomes", names=self.config.domains, default=domain_b)
            )
        if self._has_behaviours:
            inputs.append(
                LabelInput(
                    name="behaviour",
                    summary="paper: the image's own statistics, as the authors' test script has it; deterministic: "
                    "the training's running statistics. They look different",
                    names=BEHAVIOURS,
                    default="paper",
                )
            )
        fed = {value.name: value.name for value in inputs if value.name != "domain"}
        return (
            Operation(
                name="translate",
                summary=f"{domain_a} to {domain_b}" + (", and back" if B_TO_A in self.generators else ""),
                inputs=tuple(inputs),
                outputs=(
                    ImageOutput(name="image", summary="the translated image", channels=self.config.translated_channels),
                ),
                steps=tuple(
                    GraphCall(graph=graph, inputs=fed, outputs={"translation": "image"}, when=when)
                    for graph, when in directions.items()
                ),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """One graph per direction: image, and with batch norm behaviour -> translation."""
        channels = {A_TO_B: self.config.channels_a, B_TO_A: self.config.channels_b}
        return {name: self._graph(generator, channels[name]) for name, generator in self.generators.items()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels; one residual block at 32 pixels, or as few levels as a U-Net has at 64."""
        side = 32 if config.generator == "resnet" else 2 ** (FIRST_DROPOUT_LEVEL + 1)
        sizes = {"image_size": side, "channels": 4, "res_blocks": 1, "levels": FIRST_DROPOUT_LEVEL}
        return config.model_copy(update=sizes)

    @property
    def _has_behaviours(self) -> bool:
        return self.config.norm == "batch"

    def _size_rule(self) -> SizeRule:
        side, architecture = self.config.image_size, self.config.architecture
        return SizeRule(
            height=side,
            width=side,
            dynamic=True,
            multiple=architecture.multiple,
            minimum=architecture.smallest_side,
        )

    def _graph(self, generator: UNet | ResNet, channels: int) -> Graph:
        taken = self.config.image_channels
        batch, side, architecture = Axis("batch", 2), self.config.image_size, self.config.architecture
        sides = (Axis(name, side, architecture.multiple, architecture.smallest_side) for name in ("height", "width"))
        inputs = [GraphInput("image", (batch, taken, *sides), values="image")]
        if self._has_behaviours:
            inputs.append(GraphInput("behaviour", (batch,), values="index", count=len(BEHAVIOURS)))
        return Graph(
            module=Translation(generator) if taken == channels else FromColour(Translation(generator)),
            inputs=tuple(inputs),
            outputs=("translation",),
            images=frozenset({"translation"}),
        )
