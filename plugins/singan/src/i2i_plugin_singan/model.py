"""SinGAN as a model of the registry: one pyramid, seven operations, four graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from i2i_plugin_singan.config import COLOURS, PRESETS, Config
from i2i_plugin_singan.networks import Pyramid
from i2i_plugin_singan.networks.applications import Blending, Injection, Sampling, SuperResolution
from i2i_registry import BATCH, Form, Graph, Model, OutlierTolerance
from i2i_runtime import (
    SINGAN,
    GraphCall,
    ImageInput,
    ImageOutput,
    MaskInput,
    NoiseInput,
    Operation,
    SizeRule,
)
from i2i_toolkit import NoisePyramid, graph_call, noise_map

PYRAMID = "pyramid"
INJECTION = "injection"
BLENDING = "blending"
SUPER_RESOLUTION = "super_resolution"

FIRST_STEP = 0.05
"""share of fresh noise in the first map of an animation"""

LEVEL_REACH = 4
"""pixels more than a generator sees that one value between two scales changes: it is enlarged first"""
CHANGED_PER_CUT = 0.02
"""Share of an image that lies around values which fell on the other side of a level, each time that it is cut off to
8 bits; 0.012 was measured at 512x640 pixels."""


CHAIN_TOLERANCE = 2e-3
"""A quarter of an 8-bit step. A level more or less at a coarse scale shows, thinly, in a good part of the finest one;
5.7e-4 was measured for eight scales of 128x192 pixels with noise four times as strong as any that is drawn."""


def eight_bits(config: Config, cuts: int) -> OutlierTolerance:
    """How far two computations may be apart that cut images off to 8 bits so often, and round in their own ways.

    One level more or less moves everything that a generator sees it from: next to nothing of an image as it is
    trained, and a good part of one that is 20 pixels high. Half the own size is allowed for.
    """
    around_one = (config.field + LEVEL_REACH) ** 2 / (config.height * config.width / 4)
    return OutlierTolerance(
        share=min(max(CHANGED_PER_CUT * cuts, around_one), 1.0),
        tolerance=0.1,
        reason="between two scales the image is cut off to 8 bits; where a value is on a step, rounding decides",
    )


SOFTENING = {"harmonize": 7, "edit": 20}
"""radius of the disc that a mask is widened by, pixels"""
BLUR = 5.0
"""standard deviation of the Gaussian that masks are blurred by then, pixels"""


class SinGAN(Model[Config]):
    """A generative model of one image."""

    name = "singan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.pyramid = Pyramid(config)

    def operations(self) -> tuple[Operation, ...]:
        """Everything that the paper shows."""
        config = self.config
        pyramid = NoisePyramid(PYRAMID, "sampled", self._maps(map(config.noise_shape, range(config.scales))))
        changing = pyramid.start("scales below it show the training image: the finer, the smaller is what changes")
        moving = pyramid.start("scales below it stay as they are: the finer, the smaller is what moves")
        return (
            pyramid.sample(pyramid.size(config.smallest_sample), changing),
            pyramid.reconstruct(),
            self._paint(pyramid),
            self._masked(pyramid, "harmonize", "an object pasted into the training image takes on its look"),
            self._masked(pyramid, "edit", "a changed copy of the training image looks as if it had not been changed"),
            self._super_resolve(),
            pyramid.animate(FIRST_STEP, moving),
        )

    def graphs(self) -> Mapping[str, Graph]:
        """Return the graphs: samples, images that enter at a scale, their blend with the image, enlarging."""
        config = self.config
        chain, passes = eight_bits(config, config.finest), eight_bits(config, config.passes)
        return {
            PYRAMID: Graph(Sampling(self.pyramid), ("sampled",), CHAIN_TOLERANCE, chain),
            INJECTION: Graph(Injection(self.pyramid), ("made",), CHAIN_TOLERANCE, chain),
            BLENDING: Graph(Blending(self.pyramid), ("blended",)),
            SUPER_RESOLUTION: Graph(SuperResolution(self.pyramid), ("enlarged",), CHAIN_TOLERANCE, passes),
        }

    def intermediates(self) -> Mapping[str, Form]:
        """Return the image that is blended with the training image."""
        return {"made": Form((BATCH, COLOURS, self.config.height, self.config.width), "image")}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Three scales of four channels and three layers, for an image of 32x40 pixels."""
        small = {"height": 32, "width": 40, "scales": 3, "coarsest": 16, "channels": 4, "layers": 3}
        return config.model_copy(update={**small, "enlargement": 1.6})

    def _maps(self, shapes: Iterable[tuple[int, int, int]]) -> tuple[NoiseInput, ...]:
        return tuple(noise_map(number, shape, self.config.noise_border) for number, shape in enumerate(shapes))

    def _paint(self, pyramid: NoisePyramid) -> Operation:
        image = self._reference("clip art: areas of colour, laid out like an image of this kind")
        where = "where the clip art enters: the coarser, the freer is what is made of it"
        return Operation(
            name="paint",
            summary="clip art becomes an image that looks like the training image",
            inputs=(image, pyramid.start(where, 1, self.config.paint_scale or 1), *pyramid.maps[1:]),
            outputs=(ImageOutput(name="image", summary="the clip art as a photograph"),),
            steps=(_inject(pyramid, "image"),),
        )

    def _masked(self, pyramid: NoisePyramid, name: Literal["harmonize", "edit"], summary: str) -> Operation:
        image = self._reference("the training image with something changed in it")
        changed = "white where the image was changed"
        mask = MaskInput(name="mask", summary=changed, image="image", dilate_px=SOFTENING[name], blur=BLUR)
        usual = self.config.finest // 2 if name == "edit" else self.config.finest - 1
        where = "where the image enters: the coarser, the more of it changes"
        return Operation(
            name=name,
            summary=summary,
            inputs=(image, mask, pyramid.start(where, 1, max(1, usual)), *pyramid.maps[1:]),
            outputs=(
                ImageOutput(name="image", summary="the result; outside of the mask it is the training image"),
                ImageOutput(name="made", summary="the same without the training image around it"),
            ),
            steps=(_inject(pyramid, "made"), graph_call(BLENDING, "made", "mask", blended="image")),
        )

    def _super_resolve(self) -> Operation:
        maps = self._maps(self.config.enlarging_shapes)
        return Operation(
            name="super_resolve",
            summary="the training image, enlarged with details of its own kind",
            inputs=maps,
            outputs=(ImageOutput(name="image", summary=f"{self.config.enlargement:g} times as high and wide"),),
            steps=(graph_call(SUPER_RESOLUTION, *(noise.name for noise in maps), enlarged="image"),),
        )

    def _reference(self, summary: str) -> ImageInput:
        size = SizeRule(height=self.config.height, width=self.config.width)
        return ImageInput(name="image", summary=summary, size=size, resize=SINGAN)


def _inject(pyramid: NoisePyramid, result: str) -> GraphCall:
    """Return the call by which an image enters in place of what the scales below the start would make."""
    return graph_call(INJECTION, "image", "start_scale", *pyramid.names[1:], made=result)
