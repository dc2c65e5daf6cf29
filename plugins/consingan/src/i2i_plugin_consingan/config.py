"""The sizes of ConSinGAN: one image, its pyramid, and what the generator is trained for; the paper's for each task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from i2i_runtime import Record

Mode = Literal["generation", "retarget", "harmonization", "editing", "animation"]
"""What the generator is trained for; decides what stage 0 is fed, where zeros are padded, and the pyramid's sizes.

generation      variations of the image
retarget        variations in other formats: padded at every layer of a stage, which keeps borders where they are
harmonization   gives pasted objects the look of the image
editing         makes rearranged images coherent
animation       short animations
"""

Activation = Literal["lrelu", "elu", "selu", "prelu"]

IMAGE_CHANNELS = 3

EDITING_NOISE = 0.1
"""Share of noise that is added to stage 0's image in editing, in training and later (release)."""

INJECTING: frozenset[Mode] = frozenset({"harmonization", "editing"})
"""The modes in which stage 0 is fed an image, not noise."""

_LEAST_LOGARITHMIC = 3
"""Two stages would divide by the logarithm of 1."""

_BORDERED: frozenset[Mode] = frozenset({"generation", "animation"})
"""The modes in which noise surrounds a stage's features in place of zeros."""


class Config(Record):
    """ConSinGAN of one image. The defaults are the paper's for variations of an image of 250x250 pixels."""

    mode: Mode = "generation"
    height: PositiveInt = 250
    """pixels of the image that it is trained on, and of what it makes; a new training takes them from the data"""
    width: PositiveInt = 250
    stages: Annotated[int, Field(ge=2, le=32)] = 6
    """sizes that it is trained at, one after the other"""
    coarsest: PositiveInt = 25
    """pixels of the shorter side at stage 0; sometimes it has one more"""
    channels: PositiveInt = 64
    """of all feature maps, and of the noise from stage 1 on"""
    layers: PositiveInt = 3
    """convolutions of a stage"""
    activation: Activation = "lrelu"
    slope: PositiveFloat = 0.05
    """of "lrelu" below zero; 0.3 is better for harmonization"""
    batch_norm: bool = False
    """normalises each image by its own statistics; better for harmonization and editing"""

    @model_validator(mode="after")
    def _pyramid_is_possible(self) -> Self:
        if self.coarsest < self.patch:
            raise ValueError(f"coarsest is {self.coarsest}; the critic judges patches of {self.patch} pixels a side")
        if min(self.height, self.width) < self.coarsest:
            raise ValueError(
                f"an image of {self.height}x{self.width} pixels (height x width) is smaller than stage 0, whose "
                f"shorter side has {self.coarsest}"
            )
        if self.mode != "harmonization" and self.stages < _LEAST_LOGARITHMIC:
            raise ValueError(f"{self.stages} stages; sizes of the mode {self.mode!r} need {_LEAST_LOGARITHMIC}")
        return self

    @property
    def patch(self) -> int:
        """Pixels a side that one of the critic's scores depends on."""
        return 2 * (self.layers + 2) + 1

    @property
    def factors(self) -> tuple[float, ...]:
        """How much smaller than the image each stage but the last one is, coarse to fine."""
        stop = self.stages - 1
        step = (self.coarsest / min(self.height, self.width)) ** (1 / stop)
        if self.mode == "harmonization":
            return tuple(step ** (stop - stage) for stage in range(stop))
        # Closer together at the coarse end than a geometric row, where the layout is decided (paper, section 3).
        spread = (stop - 1) / math.log(stop)
        return tuple(step ** (spread * math.log(stop - stage) + 1) for stage in range(stop))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every stage, coarse to fine; rounded up."""
        smaller = ((math.ceil(self.height * f), math.ceil(self.width * f)) for f in self.factors)
        return (*smaller, (self.height, self.width))

    @property
    def border(self) -> int:
        """Rows and columns that noise maps have more than their stage from stage 1 on, both sides together."""
        return 2 * self.layers if self.mode in _BORDERED else 0

    @property
    def injects(self) -> bool:
        """Whether stage 0 is fed an image."""
        return self.mode in INJECTING

    @property
    def smallest_sample(self) -> tuple[int, int]:
        """Height and width that leave stage 0 one patch of the critic: it has seen nothing smaller."""
        height, width = self.sizes[0]
        return math.ceil(self.patch * self.height / height), math.ceil(self.patch * self.width / width)

    def noise_shape(self, stage: int) -> tuple[int, int, int]:
        """Channels, height and width of the noise of a stage; that of stage 0 has the form of an image."""
        height, width = self.sizes[stage]
        if stage == 0:
            return IMAGE_CHANNELS, height, width
        return self.channels, height + self.border, width + self.border


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "generation": Config(),
        "retarget": Config(mode="retarget"),
        "harmonization": Config(mode="harmonization", stages=3, coarsest=120, slope=0.3, batch_norm=True),
        "editing": Config(mode="editing", batch_norm=True),
        "animation": Config(mode="animation", coarsest=20),
        "quick": Config(height=128, width=128, stages=5, channels=32, batch_norm=True),
    }
)
"""The paper's for each task, and a quick one; the first is the default. Options that go with them are the trainer's."""
