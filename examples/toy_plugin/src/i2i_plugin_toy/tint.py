"""Tint: one convolution that gives images the colours of other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import nn

from i2i_registry import Graph, Losses, Model, Phase, Stage, Step, Tensors, Trainer
from i2i_runtime import GraphCall, ImageInput, ImageOutput, Operation, Record
from i2i_toolkit import AdamOptions, Betas, Preparation, StepOptions, UnpairedLayout, square_size


class Config(Record):
    """What decides the shape of the network."""

    image_size: PositiveInt = 64
    """side in pixels that it is trained at"""
    reach: PositiveInt = 1
    """pixels to each side that a new colour depends on"""


class Colours(nn.Module):
    """Mixes the colours around every pixel into a new one."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 2 * reach + 1, padding=reach, padding_mode="replicate")

    def forward(self, image: Float[torch.Tensor, "b 3 h w"]) -> Float[torch.Tensor, "b 3 h w"]:
        """Return the tinted image, in (-1, 1)."""
        return torch.tanh(self.mix(image))


class Tint(Model[Config]):
    """Gives images the colours of other images."""

    name = "tint"
    Config = Config
    presets = MappingProxyType({"default": Config()})

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.colours = Colours(config.reach)

    def operations(self) -> tuple[Operation, ...]:
        """`translate`: an image in, the tinted image out."""
        size = square_size(self.config.image_size, multiple=1)
        image = ImageInput(name="image", summary="any image", size=size, fit="native")
        tinted = ImageOutput(name="image", summary="the image in other colours")
        call = GraphCall(graph="tint", inputs={"image": "image"}, outputs={"tinted": "image"})
        return (Operation(name="translate", summary="tint", inputs=(image,), outputs=(tinted,), steps=(call,)),)

    def graphs(self) -> Mapping[str, Graph]:
        """Return the network as it is."""
        return {"tint": Graph(self.colours, outputs=("tinted",))}

    @classmethod
    def shrunk(cls, config: Config) -> Config:
        """Return the same on images of 8 pixels."""
        return config.model_copy(update={"image_size": 8})


class Options(StepOptions, AdamOptions):
    """How it is trained."""

    steps: PositiveInt = 1000
    batch_size: PositiveInt = 4
    learning_rate: PositiveFloat = 0.01
    betas: Betas = (0.9, 0.999)
    spread_weight: PositiveFloat = 1.0
    """how much the spread of the colours counts beside their mean"""


class TintTrainer(Trainer[Tint, Options]):
    """One phase: the colours of tinted images of trainA/ move towards those of trainB/."""

    Options = Options
    Layout = UnpairedLayout
    shrunk: ClassVar = {"steps": 2, "batch_size": 2}

    @property
    def layout(self) -> UnpairedLayout:
        """Images of trainA/ and trainB/, at the model's size."""
        side = self.model.config.image_size
        return UnpairedLayout(Preparation("resize_and_crop", side + 30, side))

    def stages(self) -> Sequence[Stage[None]]:
        """One stage of one phase."""
        options = self.options
        phase = Phase(name="colours", optimizer=options.make_adam(self.model.colours), losses=self.losses)
        return [Stage(name="tint", steps=options.steps, batch_size=options.batch_size, phases=(phase,))]

    def losses(self, step: Step[None]) -> Losses:
        """Squared differences of the mean and the standard deviation of every channel, over all images of a batch."""
        tinted, wanted = self.model.colours(step.batch["A"]), step.batch["B"]
        (spread, mean), (wanted_spread, wanted_mean) = (torch.std_mean(x, (0, 2, 3)) for x in (tinted, wanted))
        spread_loss = (spread - wanted_spread).square().sum()
        return {"mean": (mean - wanted_mean).square().sum(), "spread": self.options.spread_weight * spread_loss}

    def preview(self, batch: Tensors) -> Tensors:
        """Before and after."""
        return {"image": batch["A"], "tinted": self.model.colours(batch["A"])}
