"""SinGAN as a model of the registry: one pyramid, seven operations, four graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from i2i_plugin_singan.applications import Blending, Injection, Sampling, SuperResolution
from i2i_plugin_singan.config import COLOURS, PRESETS, Config, Size
from i2i_plugin_singan.networks import Pyramid
from i2i_registry import Axis, Graph, GraphInput, Model, OutlierTolerance
from i2i_runtime import (
    SINGAN,
    GraphCall,
    ImageInput,
    ImageOutput,
    MaskInput,
    NoiseInput,
    Operation,
    ScalarInput,
    SizeRule,
    Walk,
)

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

    @property
    def networks(self) -> Mapping[str, Pyramid]:
        """The generators of all scales."""
        return {PYRAMID: self.pyramid}

    # --- Graphs -------------------------------------------------------------------------------------------------------

    def graphs(self) -> Mapping[str, Graph]:
        """Samples of any size; images that enter at a scale; their blend with the training image; enlarging."""
        config, batch = self.config, Axis("batch", 2)
        reference = GraphInput("reference", (batch, COLOURS, config.height, config.width), values="image")
        start = GraphInput("start_scale", (batch,), values="whole", count=config.scales)
        maps = [self.pyramid.noise_shape(scale) for scale in range(config.scales)]
        passes = self.enlarging_shapes()
        return {
            PYRAMID: Graph(
                module=Sampling(self.pyramid),
                inputs=(start, GraphInput("anchor", (batch,), values="normal"), *self._free_maps(batch)),
                outputs=("sampled",),
                images=frozenset({"sampled"}),
                tolerance=CHAIN_TOLERANCE,
                outliers=eight_bits(config, config.finest),
            ),
            INJECTION: Graph(
                module=Injection(self.pyramid),
                inputs=(reference, start, *_maps(batch, maps[1:], first=1)),
                outputs=("made",),
                images=frozenset({"made"}),
                tolerance=CHAIN_TOLERANCE,
                outliers=eight_bits(config, config.finest),
            ),
            BLENDING: Graph(
                module=Blending(self.pyramid),
                inputs=(
                    GraphInput("made", reference.axes, values="image"),
                    GraphInput("mask", (batch, 1, config.height, config.width), values="uniform"),
                ),
                outputs=("blended",),
                images=frozenset({"blended"}),
            ),
            SUPER_RESOLUTION: Graph(
                module=SuperResolution(self.pyramid),
                inputs=tuple(_maps(batch, passes)),
                outputs=("enlarged",),
                images=frozenset({"enlarged"}),
                tolerance=CHAIN_TOLERANCE,
                outliers=eight_bits(config, config.passes),
            ),
        }

    def _free_maps(self, batch: Axis) -> list[GraphInput]:
        inputs: list[GraphInput] = []
        for scale in range(self.config.scales):
            channels, *own = self.pyramid.noise_shape(scale)
            sides = zip(("height", "width"), own, self._smallest_map(), strict=True)
            axes = [Axis(f"{side}_{scale}", length, minimum=least) for side, length, least in sides]
            inputs.append(GraphInput(f"noise_{scale}", (batch, channels, *axes), values="normal"))
        return inputs

    def _smallest_map(self) -> Size:
        """Of the coarsest scale; those of the others are larger."""
        more = 2 * self.config.border if self.config.noisy_border else 0
        return self.config.field + more, self.config.field + more

    def enlarging_shapes(self) -> list[tuple[int, int, int]]:
        """Channels, height and width of the noise map of every pass of super_resolve."""
        more = 2 * self.config.border if self.config.noisy_border else 0
        sizes = enumerate(self.config.enlarged_sizes)
        return [(1 if number == 0 else COLOURS, height + more, width + more) for number, (height, width) in sizes]

    # --- Operations ---------------------------------------------------------------------------------------------------

    def operations(self) -> tuple[Operation, ...]:
        """Everything that the paper shows."""
        return (
            self._sample(),
            self._reconstruct(),
            self._paint(),
            self._masked("harmonize", "an object pasted into the training image takes on its look"),
            self._masked("edit", "a changed copy of the training image looks as if it had not been changed"),
            self._super_resolve(),
            self._animate(),
        )

    def _sample(self) -> Operation:
        start = self._start_scale(
            0, 0, "scales below it show the training image: the finer, the smaller is what changes"
        )
        return Operation(
            name="sample",
            summary="an image that has the patches of the training image, in any size",
            inputs=(self.config.size_input(), start, *self._noises()),
            outputs=(ImageOutput(name="image", summary="the sample"),),
            steps=(self._sampling({"start_scale": "start_scale"}, {"anchor": 0.0}),),
        )

    def _reconstruct(self) -> Operation:
        return Operation(
            name="reconstruct",
            summary="the training image as the pyramid remembers it: what its stored noise gives",
            inputs=self._noises("zeros"),
            outputs=(ImageOutput(name="image", summary="the reconstruction"),),
            steps=(self._sampling({}, {"start_scale": 0.0, "anchor": 1.0}),),
        )

    def _animate(self) -> Operation:
        scalars = (
            ScalarInput(
                name="anchor",
                summary="how much of the stored noise is added to the maps; a walk finds it for every frame",
                default=1.0,
                minimum=0.0,
                maximum=1.0,
            ),
            ScalarInput(
                name="pull",
                summary="how strongly the walk is drawn back to the training image",
                default=0.1,
                minimum=0.0,
                maximum=1.0,
            ),
            ScalarInput(
                name="inertia",
                summary="how much a step is like the one before: 0.95 is smooth, 0.8 is lively",
                default=0.9,
                minimum=0.0,
                maximum=1.0,
            ),
            self._start_scale(0, 0, "scales below it stay as they are: the finer, the smaller is what moves"),
        )
        return Operation(
            name="animate",
            summary="the training image moves: a walk near the noise that gives it",
            inputs=(*scalars, *self._noises("zeros")),
            outputs=(ImageOutput(name="image", summary="one frame"),),
            steps=(self._sampling({"start_scale": "start_scale", "anchor": "anchor"}, {}),),
            walk=Walk(anchor="anchor", pull="pull", inertia="inertia", first=FIRST_STEP),
        )

    def _paint(self) -> Operation:
        usual = self.config.paint_scale or 1
        start = self._start_scale(1, usual, "where the clip art enters: the coarser, the freer is what is made of it")
        image = self._reference("clip art: areas of colour, laid out like an image of this kind")
        return Operation(
            name="paint",
            summary="clip art becomes an image that looks like the training image",
            inputs=(image, start, *self._noises(first=1)),
            outputs=(ImageOutput(name="image", summary="the clip art as a photograph"),),
            steps=(self._injecting("image"),),
        )

    def _masked(self, name: Literal["harmonize", "edit"], summary: str) -> Operation:
        usual = self.config.finest // 2 if name == "edit" else self.config.finest - 1
        image = self._reference("the training image with something changed in it")
        mask = MaskInput(
            name="mask",
            summary="white where the image was changed",
            image="image",
            dilate_px=SOFTENING[name],
            blur=BLUR,
        )
        start = self._start_scale(1, max(1, usual), "where the image enters: the coarser, the more of it changes")
        blend = GraphCall(graph=BLENDING, inputs={"made": "made", "mask": "mask"}, outputs={"blended": "image"})
        return Operation(
            name=name,
            summary=summary,
            inputs=(image, mask, start, *self._noises(first=1)),
            outputs=(
                ImageOutput(name="image", summary="the result; outside of the mask it is the training image"),
                ImageOutput(name="made", summary="the same without the training image around it"),
            ),
            steps=(self._injecting("made"), blend),
        )

    def _super_resolve(self) -> Operation:
        shapes = self.enlarging_shapes()
        names = {f"noise_{number}": f"noise_{number}" for number in range(len(shapes))}
        return Operation(
            name="super_resolve",
            summary="the training image, enlarged with details of its own kind",
            inputs=_noise_inputs(shapes, self.config),
            outputs=(ImageOutput(name="image", summary=f"{self.config.enlargement:g} times as high and wide"),),
            steps=(GraphCall(graph=SUPER_RESOLUTION, inputs=names, outputs={"enlarged": "image"}),),
        )

    def _start_scale(self, least: int, usual: int, summary: str) -> ScalarInput:
        return ScalarInput(
            name="start_scale",
            summary=f"{summary} ({self.config.finest} is the finest)",
            default=usual,
            minimum=least,
            maximum=self.config.finest,
            whole=True,
        )

    def _reference(self, summary: str) -> ImageInput:
        size = SizeRule(height=self.config.height, width=self.config.width)
        return ImageInput(name="image", summary=summary, size=size, resize=SINGAN)

    def _noises(self, default: Literal["normal", "zeros"] = "normal", first: int = 0) -> tuple[NoiseInput, ...]:
        shapes = [self.pyramid.noise_shape(scale) for scale in range(self.config.scales)]
        return _noise_inputs(shapes, self.config, default)[first:]

    def _sampling(self, inputs: Mapping[str, str], constants: Mapping[str, float]) -> GraphCall:
        names = {f"noise_{scale}": f"noise_{scale}" for scale in range(self.config.scales)}
        return GraphCall(
            graph=PYRAMID, inputs={**inputs, **names}, constants=dict(constants), outputs={"sampled": "image"}
        )

    def _injecting(self, result: str) -> GraphCall:
        names = {f"noise_{scale}": f"noise_{scale}" for scale in range(1, self.config.scales)}
        inputs = {"reference": "image", "start_scale": "start_scale", **names}
        return GraphCall(graph=INJECTION, inputs=inputs, outputs={"made": result})

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Three scales of four channels and three layers, for an image of 32x40 pixels."""
        return config.model_copy(
            update={
                "height": 32,
                "width": 40,
                "scales": 3,
                "coarsest": 16,
                "channels": 4,
                "layers": 3,
                "enlargement": 1.6,
            }
        )


def _maps(batch: Axis, shapes: Sequence[tuple[int, int, int]], first: int = 0) -> list[GraphInput]:
    return [GraphInput(f"noise_{number}", (batch, *shape), "normal") for number, shape in enumerate(shapes, first)]


def _noise_inputs(
    shapes: Sequence[tuple[int, int, int]], config: Config, default: Literal["normal", "zeros"] = "normal"
) -> tuple[NoiseInput, ...]:
    border = 2 * config.border if config.noisy_border else 0
    return tuple(
        NoiseInput(
            name=f"noise_{number}",
            summary=f"noise {number + 1} of {len(shapes)}, from coarse to fine",
            channels=channels,
            height=height - border,
            width=width - border,
            border=border,
            default=default,
        )
        for number, (channels, height, width) in enumerate(shapes)
    )
