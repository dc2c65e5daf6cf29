"""CycleGAN as a model of the registry: two generators, one operation, one graph per direction."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_cyclegan.config import DOWNSAMPLING, PRESETS, SMALLEST_SIDE, Channels, Config
from i2i_plugin_cyclegan.networks import Generator
from i2i_plugin_cyclegan.official import JUNYANZ_FORMAT
from i2i_registry.model import Axis, Graph, GraphInput, Model
from i2i_runtime.operations import ImageInput, ImageOutput, Input, LabelInput, Operation, SizeRule, Step

A_TO_B = "a_to_b"
B_TO_A = "b_to_a"


class CycleGAN(Model[Config]):
    """Unpaired translation between two domains, in both directions."""

    name = "cyclegan"
    Config = Config
    presets = PRESETS
    official = JUNYANZ_FORMAT

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: Generator(config, config.channels_a, config.channels_b)}
        if config.directions == "both":
            self.generators[B_TO_A] = Generator(config, config.channels_b, config.channels_a)

    @property
    def networks(self) -> Mapping[str, Generator]:
        """The generators `a_to_b` and, where it has both directions, `b_to_a`."""
        return self.generators

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that the label names, the second one when it names none."""
        domain_a, domain_b = self.config.domains
        inputs: list[Input] = [
            ImageInput(
                name="image",
                summary="a picture of the other domain",
                channels=self.config.channels_a,
                size=self._size_rule(),
            )
        ]
        steps = (_step(A_TO_B, {}),)
        if self.config.directions == "both":
            inputs.append(
                LabelInput(
                    name="domain", summary="what the picture becomes", names=self.config.domains, default=domain_b
                )
            )
            steps = (_step(A_TO_B, {"domain": domain_b}), _step(B_TO_A, {"domain": domain_a}))
        return (
            Operation(
                name="translate",
                summary=f"{domain_a} to {domain_b}" + (", and back" if B_TO_A in self.generators else ""),
                inputs=tuple(inputs),
                outputs=(ImageOutput(name="image", summary="the translated picture"),),
                steps=steps,
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """One graph per direction: image -> translation."""
        channels: Mapping[str, Channels] = {A_TO_B: self.config.channels_a, B_TO_A: self.config.channels_b}
        return {name: self._graph(generator, channels[name]) for name, generator in self.generators.items()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels, one residual block, 32 pixels."""
        return config.model_copy(update={"image_size": 32, "channels": 4, "res_blocks": 1})

    def _size_rule(self) -> SizeRule:
        side = self.config.image_size
        return SizeRule(height=side, width=side, dynamic=True, multiple=DOWNSAMPLING, minimum=SMALLEST_SIDE)

    def _graph(self, generator: Generator, channels: Channels) -> Graph:
        sides = tuple(
            Axis(name, self.config.image_size, multiple=DOWNSAMPLING, minimum=SMALLEST_SIDE)
            for name in ("height", "width")
        )
        return Graph(
            module=generator,
            inputs=(GraphInput("image", (Axis("batch", 2), channels, *sides), values="picture"),),
            outputs=("translation",),
            pictures=frozenset({"translation"}),
        )


def _step(graph: str, when: dict[str, str]) -> Step:
    return Step(graph=graph, inputs={"image": "image"}, outputs={"translation": "image"}, when=when)
