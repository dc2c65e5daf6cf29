"""The sizes of SinGAN: how many scales an image gets, and how large and how wide each of them is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Record

Mode = Literal["generation", "animation", "super_resolution"]
Size = tuple[int, int]
"""height and width, pixels"""

WIDEST = 128
"""channels: the width doubles every four scales up to here"""
DOUBLING = 4
"""scales of one width"""
COLOURS = 3

COARSEST: Mapping[Mode, int] = MappingProxyType({"generation": 25, "animation": 20, "super_resolution": 18})
"""the shorter side of the coarsest scale, pixels"""

STEP = 0.5 ** (1 / 3)
"""The pyramid of super-resolution shrinks by about this much from scale to scale: three scales for half the size."""


class Config(Record):
    """SinGAN for one image. What follows from the image, `train` reads from it: height, width and scales."""

    mode: Mode = "generation"
    """animation: noise reaches into the border as well; super_resolution: as many scales as passes of super_resolve
    would make the image from the coarsest; and each has a coarsest scale of its own (presets)"""
    height: PositiveInt = 250
    """of the finest scale, pixels"""
    width: PositiveInt = 250
    scales: Annotated[int, Field(ge=2)] = 11
    coarsest: PositiveInt = COARSEST["generation"]
    """shorter side of the coarsest scale, pixels; the official scripts take 25, for animation 20, for super-resolution
    18"""
    channels: PositiveInt = 32
    """of the first four scales; then twice as many every four scales, up to 128"""
    layers: Annotated[int, Field(ge=3)] = 5
    """convolutions of each generator and critic; 5 see 11x11 pixels"""
    paint_scale: PositiveInt | None = None
    """the scale whose generator was, or is to be, trained again for clip art of few colours; with it `train --init`
    trains that generator alone"""
    enlargement: Annotated[float, Field(gt=STEP**-0.5)] = 4.0
    """by how much super_resolve enlarges the image"""

    @model_validator(mode="after")
    def _coarsest_fits(self) -> Self:
        if self.coarsest > min(self.height, self.width):
            raise ValueError(
                f"coarsest is {self.coarsest} pixels, more than the shorter side of height x width = "
                f"{self.height}x{self.width}"
            )
        if self.coarsest < self.field:
            raise ValueError(
                f"coarsest is {self.coarsest} pixels; a critic of {self.layers} layers looks at {self.field}"
            )
        return self

    @model_validator(mode="after")
    def _paint_scale_is_there(self) -> Self:
        if self.paint_scale is not None and self.paint_scale > self.finest:
            raise ValueError(
                f"paint_scale is {self.paint_scale}, and of {self.scales} scales the last is {self.finest}"
            )
        return self

    @property
    def finest(self) -> int:
        """Number of the finest scale; the coarsest is 0."""
        return self.scales - 1

    @property
    def factor(self) -> float:
        """Side of a scale over that of the next finer one."""
        return (self.coarsest / min(self.height, self.width)) ** (1 / self.finest)

    @property
    def border(self) -> int:
        """Pixels around a map on each side, which the 3x3 convolutions eat up."""
        return self.layers

    @property
    def noisy_border(self) -> bool:
        """Whether noise maps reach into the border, in place of zeros there."""
        return self.mode == "animation"

    @property
    def noise_border(self) -> int:
        """Rows and columns that noise maps have more than their image, both sides together."""
        return 2 * self.border if self.noisy_border else 0

    def noise_shape(self, scale: int) -> tuple[int, int, int]:
        """Channels, height and width of the noise map of a scale."""
        return self._map_shape(scale, self.size_at(scale))

    @property
    def enlarging_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the noise map of every pass of super_resolve."""
        return tuple(self._map_shape(number, size) for number, size in enumerate(self.enlarged_sizes))

    def _map_shape(self, number: int, size: Size) -> tuple[int, int, int]:
        return 1 if number == 0 else COLOURS, size[0] + self.noise_border, size[1] + self.noise_border

    @property
    def field(self) -> int:
        """Side of what one score of a critic depends on, pixels."""
        return 2 * self.layers + 1

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Height and width of every scale, the coarsest first."""
        return tuple(self.size_at(scale) for scale in range(self.scales))

    def size_at(self, scale: int) -> Size:
        """Height and width of one scale; rounded up, as the resize does."""
        factor = self.shrinking(scale)
        return math.ceil(self.height * factor), math.ceil(self.width * factor)

    def shrinking(self, scale: int) -> float:
        """Side of a scale over that of the finest."""
        return self.factor ** (self.finest - scale)

    def width_at(self, scale: int) -> int:
        """Channels inside the networks of one scale."""
        return min(self.channels * 2 ** (scale // DOUBLING), WIDEST)

    @property
    def passes(self) -> int:
        """How often super_resolve runs the finest generator."""
        return enlarging_passes(self.enlargement)

    @property
    def pass_factor(self) -> float:
        """By how much each of them enlarges."""
        return self.enlargement ** (1 / self.passes)

    @property
    def enlarged_sizes(self) -> tuple[Size, ...]:
        """Height and width in every pass."""
        sizes = [(self.height, self.width)]
        for _ in range(self.passes):
            sizes.append((math.ceil(sizes[-1][0] * self.pass_factor), math.ceil(sizes[-1][1] * self.pass_factor)))
        return tuple(sizes[1:])

    @property
    def smallest_sample(self) -> Size:
        """Height and width of the smallest sample: its coarsest map is as large as what a critic looks at."""
        height, width = (
            next(side for side in range(1, own + 1) if round(Fraction(side * small, own)) >= self.field)
            for small, own in zip(self.size_at(0), (self.height, self.width), strict=True)
        )
        return height, width


def enlarging_passes(enlargement: float) -> int:
    """Return how many passes of about 1.26 make an enlargement: six for four times."""
    return round(math.log(1 / enlargement) / math.log(STEP))


def scales_for(image: Size, *, coarsest: int, scale_factor: float, max_size: int) -> int:
    """How many scales an image (pixels) gets, for generation and animation."""
    height, width = image
    wanted = math.ceil(math.log(coarsest / min(height, width)) / math.log(scale_factor)) + 1
    left_out = math.ceil(math.log(min(max_size, max(height, width)) / max(height, width)) / math.log(scale_factor))
    return wanted - left_out + 1


def enlarging_scales_for(image: Size, *, coarsest: int, scale_factor: float, max_size: int) -> int:
    """Return the same for super-resolution.

    Cut off, not rounded up, and the width alone in the second count (official).
    """
    height, width = image
    wanted = int(math.log(coarsest / min(height, width)) / math.log(scale_factor)) + 1
    left_out = int(math.log(min(max_size, max(height, width)) / width) / math.log(scale_factor))
    return wanted - left_out + 1


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "singan": Config(),
        "animation": Config(mode="animation", coarsest=COARSEST["animation"]),
        "super_resolution": Config(mode="super_resolution", coarsest=COARSEST["super_resolution"]),
        "quick": Config(height=128, width=128, scales=6),
    }
)
"""The paper's, one for each kind of training in the authors' scripts; and quick, for a first look on a CPU: a smaller
image in fewer scales, and options of its own (`trainer.QUICK`)."""
