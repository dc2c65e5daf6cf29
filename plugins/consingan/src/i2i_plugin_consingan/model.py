"""ConSinGAN as a model of the registry: one generator, and a graph for the whole pyramid or for injecting an image."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_plugin_consingan.config import PRESETS, Config
from i2i_plugin_consingan.networks import Generator
from i2i_plugin_consingan.networks.applications import BACKGROUNDS, Injection, Pyramid
from i2i_registry import Graph, Model
from i2i_runtime import (
    SINGAN,
    Also,
    ImageInput,
    ImageOutput,
    LabelInput,
    MaskInput,
    NoiseInput,
    Operation,
    SizeRule,
)
from i2i_toolkit import NoisePyramid, graph_call, noise_map

GENERATOR = "generator"

PYRAMID, INJECTION = "pyramid", "injection"
"""The graphs."""

COARSE = "coarse"
"""the composite at the size of stage 0, resampled once from how it was given"""

FIRST_FRESH = 0.01
"""Share of fresh noise in the first map of an animation (release; SinGAN's is five times that)."""

SIZE_SUMMARY = "the image's own by default; sizes from a third of it to three times as large look best"

MASK_DILATION = {"harmonization": 7, "editing": 20}
"""Radius in pixels."""
MASK_BLUR = 5.0

BACKGROUND = LabelInput(
    name="background",
    summary="what is behind the mask: the training image, or the naive one, as it was given",
    names=BACKGROUNDS,
    default=BACKGROUNDS[0],
)


class ConSinGAN(Model[Config]):
    """A growing generator that has learned one image."""

    name = "consingan"
    Config = Config
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = Generator(config)

    def operations(self) -> tuple[Operation, ...]:
        """Those of its mode."""
        if self.config.injects:
            return (self._inject(),)
        maps = [self._noise(stage) for stage in range(self.config.stages)]
        pyramid = NoisePyramid(PYRAMID, "image", maps)
        size = pyramid.size(self.config.smallest_sample, SIZE_SUMMARY, rounding="down")
        drawing = (pyramid.sample(size), pyramid.reconstruct())
        if self.config.mode != "animation":
            return drawing
        return (*drawing, pyramid.animate(FIRST_FRESH, pyramid.start("stages below this one stay still"), size))

    def graphs(self) -> Mapping[str, Graph]:
        """Return what the operations of its mode call."""
        if self.config.injects:
            return {INJECTION: Graph(Injection(self.generator), ("blended", "unblended"))}
        return {PYRAMID: Graph(Pyramid(self.generator), ("image",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Three stages of two layers, at most 28 pixels; with fewer channels the critic may not reach a kink at all."""
        small = {"height": 24, "width": 28, "stages": 3, "coarsest": 12, "channels": 16, "layers": 2}
        return config.model_copy(update=small)

    def _inject(self) -> Operation:
        """`harmonize` or `edit`: an image at stage 0, and what becomes of it where the mask is white."""
        config = self.config
        (height, width), editing = config.sizes[0], config.mode == "editing"
        summary = (
            "make a rearranged image coherent" if editing else "give a pasted object the look of the image around it"
        )
        image = ImageInput(
            name="image",
            summary="the training image with something pasted into it or moved in it",
            size=SizeRule(height=config.height, width=config.width),
            resize=SINGAN,
            also=Also(name=COARSE, height=height, width=width),
        )
        radius, changed = MASK_DILATION[config.mode], "white where it was changed"
        mask = MaskInput(name="mask", summary=changed, image="image", dilate_px=radius, blur=MASK_BLUR)
        noise = [self._noise(0)] if editing else []
        fed = ("image", COARSE, "mask", "background", *(each.name for each in noise))
        return Operation(
            name="edit" if editing else "harmonize",
            summary=summary,
            inputs=(image, mask, BACKGROUND, *noise),
            outputs=(
                ImageOutput(name="image", summary="the result inside the mask, the background around it"),
                ImageOutput(name="unblended", summary="the result everywhere"),
            ),
            steps=(graph_call(INJECTION, *fed, blended="image", unblended="unblended"),),
        )

    def _noise(self, stage: int) -> NoiseInput:
        return noise_map(stage, self.config.noise_shape(stage), self.config.border if stage else 0)
