"""The sizes of InGAN, the numbers of its training, and the two presets of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from i2i_runtime import Record
from i2i_toolkit import AdamOptions, Betas, SingleImageOptions


def _as_written(value: object) -> object:
    """Return a text as the number that it is: "1" is an iteration, "1.0" is all of them."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]+\.[0-9]*|\.[0-9]+", value) else value


Moment = Annotated[NonNegativeInt | Annotated[float, Field(ge=0.0, le=1.0)], BeforeValidator(_as_written)]
"""An iteration; a number with a point, up to 1.0, is a share of all of them."""
Shift = Annotated[float, Field(ge=0.0, lt=0.5)]

Size = tuple[int, int]
"""height and width, pixels"""

BOTTLENECK_SIDE = 2
"""Pixels that the innermost map has at least: it is mirrored, and normalised by its own statistics."""

NARROWING = 4
"""A residual block works on this part of the channels."""


class Config(Record):
    """What decides the shapes of the generator. The defaults are the paper's."""

    height: PositiveInt = 256
    """of the image that it is trained on, pixels"""
    width: PositiveInt = 256
    channels: Annotated[int, Field(ge=1)] = 64
    """after the first convolution; doubled at every downscaling"""
    downscales: PositiveInt = 3
    """how often the inner maps are downsampled by 2; results have sides that are multiples of 2^downscales"""
    blocks: PositiveInt = 6
    """residual blocks in the middle"""

    @model_validator(mode="after")
    def _image_fits(self) -> Self:
        if min(self.height, self.width) < self.smallest_side or self.channels * self.multiple < NARROWING:
            raise ValueError(
                f"{self.height}x{self.width} pixels, {self.channels} channels: with {self.downscales} downscales at "
                f"least {self.smallest_side} pixels a side and {NARROWING} channels in the middle are needed"
            )
        return self

    @property
    def multiple(self) -> int:
        """What the sides of a result are multiples of, in pixels."""
        return 2**self.downscales

    @property
    def smallest_side(self) -> int:
        """Pixels a side of a result, and of an image."""
        return BOTTLENECK_SIDE * self.multiple


class Options(AdamOptions, SingleImageOptions):
    """How it is trained. The defaults are the paper's.

    "from" and "at" are iterations, which count from 0. A number with a point, up to 1.0, is a share of `steps`, so that
    a training of any length has the paper's course.
    """

    steps: PositiveInt = 75_000
    learning_rate: PositiveFloat = 5e-5
    """of both networks"""
    betas: Betas = (0.5, 0.999)
    decay_from: Moment = 4 / 15
    """from here the learning rate falls along a line to 0 at the end"""
    inverse_from: Moment = 2 / 15
    """after this iteration the generator learns a second time a step: the way back alone"""
    full_range_at: Moment = 2 / 15
    """the range of sizes (and of shifts) has grown to all of it"""
    smallest_scale: PositiveFloat = 0.15
    largest_scale: PositiveFloat = 2.25
    largest_shift: Shift = 0.0
    """of the left and right border, as a share of the width; raise it (0.3) for results that are no rectangles"""
    reconstruction_weight: NonNegativeFloat = 0.1
    inverse_weight: NonNegativeFloat = 1.0
    balanced_at: Moment = 1 / 3
    """the critic weighs all its scales alike; before, the coarse ones count more, and the fine ones afterwards"""
    critic_channels: PositiveInt = 64
    critic_step: Annotated[float, Field(gt=1.0)] = 1.4
    """how many times smaller each scale of the critic is than the one before it; a smaller number: more scales"""
    crop_px: PositiveInt = 256
    """largest side of what is cut from the image in a step"""
    max_size: PositiveInt = 512
    """an image with a longer side than this (pixels) is made smaller first"""

    def reduced(self, size: Size) -> Size:
        """Return height and width of an image of this size as it is learned, but for what is cut off; rounded."""
        height, width = (max(round(side * self.reduction(size)), 1) for side in size)
        return height, width

    def iteration_of(self, moment: Moment) -> int:
        """Return the iteration of a moment that may be a share of all."""
        return round(moment * self.steps) if isinstance(moment, float) else moment

    def learning_rate_factor(self, iteration: int) -> float:
        """Factor on the learning rate: constant, then along a line to 0."""
        start = self.iteration_of(self.decay_from)
        if iteration < start:
            return 1.0
        return max(0.0, (self.steps - iteration) / max(self.steps - start, 1))

    def range_share(self, iteration: int) -> float:
        """How much of the range of sizes and shifts is drawn from: 0 to 1."""
        return min(iteration / max(self.iteration_of(self.full_range_at), 1), 1.0)


PRESETS: Mapping[str, Config] = MappingProxyType({"ingan": Config(), "quick": Config(channels=16, blocks=3)})
"""The paper's network, and one that a computer without a GPU trains in minutes."""

TRAININGS: Mapping[str, Options] = MappingProxyType(
    {
        "quick": Options(
            steps=4_000,
            learning_rate=5e-4,
            decay_from=0.625,
            inverse_from=0.3,
            full_range_at=0.25,
            balanced_at=0.5,
            smallest_scale=0.4,
            largest_scale=1.8,
            critic_channels=16,
            crop_px=96,
            max_size=112,
        )
    }
)
"""What is trained with a preset of that name in another way than the paper's."""
