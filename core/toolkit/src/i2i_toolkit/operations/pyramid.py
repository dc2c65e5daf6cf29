"""What a pyramid of noise maps does that has learned one image (SinGAN, ConSinGAN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Input, Operation, Walk
from i2i_toolkit.operations.inputs import same_names

START_SCALE, ANCHOR = "start_scale", "anchor"
PULL, INERTIA = "pull", "inertia"

NoiseDefault = Literal["normal", "zeros"]


def noise_name(number: int) -> str:
    """Of a noise map, in graphs and operations; 0 is the coarsest."""
    return f"noise_{number}"


def noise_map(number: int, shape: tuple[int, int, int], border: int, default: NoiseDefault = "normal") -> NoiseInput:
    """Return a map of channels, height and width; `border` rows and columns of it, both sides together, surround it."""
    channels, height, width = shape
    return NoiseInput(
        name=noise_name(number),
        summary=f"noise {number + 1}, from coarse to fine",
        channels=channels,
        height=height - border,
        width=width - border,
        border=border,
        default=default,
    )


@dataclass(frozen=True, slots=True)
class NoisePyramid:
    """A graph of a map of noise for each scale and two numbers: the image that it learned, and variations of it.

    Scales below `start_scale` are fed the stored noise, which gives the learned image; the others what they are given
    and `anchor` times the stored noise.
    """

    graph: str
    output: str
    """what the graph calls the image"""
    maps: Sequence[NoiseInput]
    """the coarsest first"""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the maps."""
        return tuple(noise.name for noise in self.maps)

    def size(
        self,
        least: tuple[int, int],
        summary: str = "of the image that is made",
        rounding: Literal["nearest", "down"] = "nearest",
    ) -> SizeInput:
        """Return the size of a sample: by default that of the finest map, and at least this height and width."""
        finest, (height, width) = self.maps[-1], least
        return SizeInput(
            summary=summary,
            height=finest.height,
            width=finest.width,
            rounding=rounding,
            minimum_height=height,
            minimum_width=width,
        )

    def sample(self, size: SizeInput, *start: ScalarInput) -> Operation:
        """`sample`: an image of any size; with `start`, from that scale on."""
        return Operation(
            name="sample",
            summary="an image that has the patches of the training image, in any size",
            inputs=(size, *start, *self.maps),
            outputs=(ImageOutput(name="image", summary="the sample"),),
            steps=(self._call({ANCHOR: 0.0} if start else {START_SCALE: 0.0, ANCHOR: 0.0}),),
        )

    def reconstruct(self) -> Operation:
        """`reconstruct`: the learned image; given noise changes it."""
        return Operation(
            name="reconstruct",
            summary="the training image as the pyramid remembers it: what its stored noise gives",
            inputs=self._zeros(),
            outputs=(ImageOutput(name="image", summary="the reconstruction"),),
            steps=(self._call({START_SCALE: 0.0, ANCHOR: 1.0}),),
        )

    def animate(self, first: float, start: ScalarInput, *size: SizeInput) -> Operation:
        """`animate`: a walk around the learned image, which begins with this share of fresh noise (see `Walk`)."""
        numbers = (
            _share(ANCHOR, 1.0, "how much of the stored noise is added to the maps; a walk finds it for every frame"),
            _share(PULL, 0.1, "how strongly the walk is drawn back to the training image"),
            _share(INERTIA, 0.9, "how much a step is like the one before: 0.95 is smooth, 0.8 is lively"),
        )
        return Operation(
            name="animate",
            summary="the training image moves: a walk near the noise that gives it",
            inputs=(*size, *numbers, start, *self._zeros()),
            outputs=(ImageOutput(name="image", summary="one frame"),),
            steps=(self._call({}),),
            walk=Walk(anchor=ANCHOR, pull=PULL, inertia=INERTIA, first=first),
        )

    def start(self, summary: str, least: int = 0, usual: int = 0) -> ScalarInput:
        """Return the number of a scale, from `least` to the finest."""
        finest = len(self.maps) - 1
        return ScalarInput(
            name=START_SCALE,
            summary=f"{summary} ({finest} is the finest)",
            default=usual,
            minimum=least,
            maximum=finest,
            whole=True,
        )

    def _zeros(self) -> tuple[Input, ...]:
        return tuple(noise.model_copy(update={"default": "zeros"}) for noise in self.maps)

    def _call(self, constants: dict[str, float]) -> GraphCall:
        open_numbers = [name for name in (START_SCALE, ANCHOR) if name not in constants]
        inputs = same_names(*open_numbers, *self.names)
        return GraphCall(graph=self.graph, inputs=inputs, constants=constants, outputs={self.output: "image"})


def _share(name: str, usual: float, summary: str) -> ScalarInput:
    return ScalarInput(name=name, summary=summary, default=usual, minimum=0.0, maximum=1.0)
