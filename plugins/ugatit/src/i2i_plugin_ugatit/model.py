"""U-GAT-IT as a model of the registry: two generators, one operation, one graph per direction."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from i2i_plugin_ugatit.config import DOWNSAMPLING, PRESETS, SMALLEST_SIDE, Config
from i2i_plugin_ugatit.networks import Generator
from i2i_registry import Axis, Graph, GraphInput, Model
from i2i_runtime import (
    BILINEAR,
    GraphCall,
    HeatmapOutput,
    ImageInput,
    ImageOutput,
    LabelInput,
    Operation,
    SizeRule,
    best_fit,
)

A_TO_B = "a_to_b"
B_TO_A = "b_to_a"


class ImageAndAttention(nn.Module):
    """A generator without the logits that only its training needs."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 y x"]]:
        """The translated image in (-1, 1), and where the generator looked (>= 0, a quarter of the side)."""
        translation = self.generator(image)
        return translation.image, translation.attention


class UGATIT(Model[Config]):
    """Unpaired translation between two domains, in both directions, with a map of where it looked."""

    name = "ugatit"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generators = {A_TO_B: Generator(config), B_TO_A: Generator(config)}

    @property
    def networks(self) -> Mapping[str, Generator]:
        """The generators `a_to_b` and `b_to_a`."""
        return self.generators

    def operations(self) -> tuple[Operation, ...]:
        """`translate` into the domain that the label names, the second one when it names none."""
        domain_a, domain_b = self.config.domains
        return (
            Operation(
                name="translate",
                summary=f"{domain_a} to {domain_b}, and back",
                inputs=(
                    ImageInput(
                        name="image",
                        summary="an image of the other domain",
                        size=self._size_rule(),
                        fit=best_fit(self._size_rule()),
                        resize=BILINEAR,
                    ),
                    LabelInput(
                        name="domain",
                        summary="what the image becomes",
                        names=self.config.domains,
                        default=domain_b,
                    ),
                ),
                outputs=(
                    ImageOutput(name="image", summary="the translated image"),
                    HeatmapOutput(name="attention", summary="where the generator looked"),
                ),
                steps=(_step(A_TO_B, domain_b), _step(B_TO_A, domain_a)),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """One graph per direction: image -> translated, attention."""
        return {name: self._graph(generator) for name, generator in self.generators.items()}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels, one residual block, 32 pixels."""
        return config.model_copy(update={"image_size": 32, "channels": 4, "res_blocks": 1})

    def _size_rule(self) -> SizeRule:
        side = self.config.image_size
        return SizeRule(
            height=side, width=side, dynamic=self.config.pooled_style, multiple=DOWNSAMPLING, minimum=SMALLEST_SIDE
        )

    def _graph(self, generator: Generator) -> Graph:
        side = self.config.image_size
        # The full model flattens its feature map into a linear layer, which fixes height and width.
        sides: tuple[int | Axis, ...] = (side, side)
        if self.config.pooled_style:
            sides = tuple(
                Axis(name, side, multiple=DOWNSAMPLING, minimum=SMALLEST_SIDE) for name in ("height", "width")
            )
        return Graph(
            module=ImageAndAttention(generator),
            inputs=(GraphInput("image", (Axis("batch", 2), 3, *sides), values="image"),),
            outputs=("translated", "attention"),
            images=frozenset({"translated"}),
        )


def _step(graph: str, domain: str) -> GraphCall:
    outputs = {"translated": "image", "attention": "attention"}
    return GraphCall(graph=graph, inputs={"image": "image"}, outputs=outputs, when={"domain": domain})
