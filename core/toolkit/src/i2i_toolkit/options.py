"""Options that several papers share, as records that a trainer's Options are composed of.

class Options(LinearDecay, AdamOptions, EMAOptions): names the fields with the paper's values and adds its own.
Torch is loaded when an optimizer is built, and not before: presets hold Options, and cards name presets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Adam
    from torch.optim.optimizer import ParamsT

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share of something, never all of it."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share of something, all of it included."""
Betas = tuple[Fraction, Fraction]
"""How fast Adam's two moments forget."""

_ROUNDING = 1e-6
"""steps; what the product of a share and a number of steps may be short of a whole one"""


class StepOptions(Record):
    """Options of a training whose length is a number of steps; its Options give `steps` the paper's number."""

    steps: PositiveInt
    batch_size: PositiveInt = 1


class LinearDecay(StepOptions):
    """Options of a rate that stays, and in the last steps falls along a line: "linear" of pix2pix and its successors.

    All of it follows from `steps`, so that a training of any length has a schedule of the paper's shape. Options of a
    paper that counts in epochs say how many with `epochs: ClassVar[int] = 400`, and give `steps` the number of images
    of its data times its epochs, by the batch size.
    """

    epochs: ClassVar[int] = 200
    """how many epochs the paper's training has; pix2pix and CycleGAN: 100 at one rate, 100 with a falling one"""

    decay_share: Share = 0.5
    """share of all steps, the last ones, whose learning rate falls along a line; 0: it stays"""
    epoch_steps: PositiveInt | None = None
    """the learning rate is lowered once in so many steps; None: an epoch of the paper's, as a share of `steps`"""

    def learning_rate_factor(self, step: int) -> float:
        """Factor in (0, 1] on the learning rate of `step`, which counts from 1; 0 after the last one.

        1 - max(0, e + 1 - constant epochs) / (decay epochs + 1), where e counts epochs from 0: the line would reach 0
        one epoch after the last, and the rate is constant inside an epoch. The last epoch may be cut short.
        """
        decay_steps = math.floor(self.steps * self.decay_share + _ROUNDING)
        epoch_steps = self.epoch_steps or max(self.steps // self.epochs, 1)
        epochs = -(-self.steps // epoch_steps)
        decay_epochs = decay_steps // epoch_steps
        epoch = (step - 1) // epoch_steps
        return max(0.0, 1.0 - max(0, epoch + 1 - (epochs - decay_epochs)) / (decay_epochs + 1))


class AdamOptions(Record):
    """Options of Adam."""

    learning_rate: PositiveFloat
    """of all networks that no other option names"""
    betas: Betas

    def make_adam(self, *networks: nn.Module) -> Adam:
        """Build Adam for every parameter of the networks that wants a gradient."""
        return self.make_adam_of([parameter for network in networks for parameter in learned(network)])

    def make_adam_of(self, parameters: ParamsT) -> Adam:
        """Build Adam for parameters, or for groups of them with rates of their own.

        Fused: the same arithmetic in one pass over the parameters instead of a dozen.
        """
        from torch.optim import Adam  # noqa: PLC0415 - cards are read without torch

        return Adam(parameters, lr=self.learning_rate, betas=self.betas, fused=True)


class WeightDecayOptions(AdamOptions):
    """Options of Adam with weight decay as in Adam's paper: a part of the gradient, before the moments."""

    weight_decay: NonNegativeFloat
    """added to the gradient of every parameter, as a share of it (L2)"""

    def make_adam_of(self, parameters: ParamsT) -> Adam:
        """Build Adam for parameters, or for groups of them with rates of their own."""
        from torch.optim import Adam  # noqa: PLC0415 - cards are read without torch

        decay = self.weight_decay
        return Adam(parameters, lr=self.learning_rate, betas=self.betas, weight_decay=decay, fused=True)


class SingleImageOptions(Record):
    """Options of a training on one image."""

    max_size: PositiveInt = 250
    """an image with a longer side than this (pixels) is made smaller first"""

    def reduced(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of an image of this size as it is learned; rounded up, as `resample_by` does."""
        height, width = (math.ceil(side * self.reduction(size)) for side in size)
        return height, width

    def reduction(self, size: tuple[int, int]) -> float:
        """Factor that brings the longer side of an image to `max_size`; 1 for smaller ones."""
        return min(self.max_size / max(size), 1.0)


class EMAOptions(Record):
    """Options of an exponential moving average (EMA) of the model's networks: `Trainer.ema` reads them."""

    ema_decay: Fraction = 0.0
    """of the exponential moving average of the networks, which is then what is saved; 0: none"""


def learned(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a network that want a gradient."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
