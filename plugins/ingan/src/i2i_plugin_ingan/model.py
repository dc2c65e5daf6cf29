"""InGAN as a model of the registry: one generator, one operation, one graph whose output has the size of a grid."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_ingan.config import PRESETS, Config
from i2i_plugin_ingan.networks import Generator, Retargeting
from i2i_registry import Graph, Model
from i2i_runtime import (
    BICUBIC,
    GridInput,
    ImageInput,
    ImageOutput,
    Interpolation,
    Operation,
    ScalarInput,
    SizeInput,
    SizeRule,
)
from i2i_toolkit import graph_call

GENERATOR = "generator"
GRAPH = "retarget"

MOST_SHIFT = 0.8
"""Of a border, as a share of the width (the authors' test script)."""

GRID = GridInput(
    name="grid",
    summary="where in the image each pixel of the result looks",
    image="image",
    left_shift="left_shift",
    right_shift="right_shift",
    coverage="coverage",
)


class InGAN(Model[Config]):
    """One image, retargeted to any size, aspect ratio or mild homography."""

    name = "ingan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)

    def operations(self) -> tuple[Operation, ...]:
        """`retarget`: an image and a size in, and perhaps two shifts; the image at that size and shape out."""
        return (
            Operation(
                name="retarget",
                summary="the image at another size: things in it keep theirs, there are more of them or fewer",
                inputs=(self._image(), self._size(), _shift("left"), _shift("right"), GRID),
                outputs=(ImageOutput(name="image", summary="the retargeted image"),),
                steps=(graph_call(GRAPH, "image", "grid", "coverage", retargeted="image"),),
                interpolation=Interpolation(value="size"),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """Image, grid and coverage -> the retargeted image, with the kernels that training left."""
        return {GRAPH: Graph(Retargeting(self.generator), ("retargeted",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Four channels, downsampled once, one block, an image of 28x32 pixels."""
        return config.model_copy(update={"height": 28, "width": 32, "channels": 4, "downscales": 1, "blocks": 1})

    def _image(self) -> ImageInput:
        config = self.config
        size = SizeRule(height=config.height, width=config.width, dynamic=True, minimum=config.smallest_side)
        return ImageInput(
            name="image",
            summary="the image that it was trained on",
            size=size,
            fit="native",
            resize=BICUBIC,
            to_multiple="cut",  # every layer is normalised by the image's own statistics
        )

    def _size(self) -> SizeInput:
        config = self.config
        return SizeInput(
            summary=f"of the result; sides in multiples of {config.multiple}, and a scale is rounded down to them",
            height=config.height,
            width=config.width,
            image="image",
            rounding="down",
            multiple=config.multiple,
            minimum_height=config.smallest_side,
            minimum_width=config.smallest_side,
        )


def _shift(side: str) -> ScalarInput:
    return ScalarInput(
        name=f"{side}_shift",
        summary=f"how far top and bottom are moved against each other at the {side} border, as a share of the width; "
        "with any shift the result is no rectangle, and white around it",
        default=0.0,
        minimum=-MOST_SHIFT,
        maximum=MOST_SHIFT,
    )
