"""Learning-rate schedules that several papers share, with the options that they need."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.schema.operations import Record


class LinearDecay(Record):
    """Options of a rate that stays, and in the last steps falls along a line: "linear" of pix2pix and its successors.

    A trainer's Options derive from this and give `steps` the paper's number. What is left open follows from `steps`, so
    that a training of any length has a schedule of the paper's shape.
    """

    epochs: ClassVar[int] = 200
    """how many epochs the paper's training has; pix2pix and CycleGAN: 100 at one rate, 100 with a falling one"""

    steps: PositiveInt
    decay_steps: NonNegativeInt | None = None
    """how many of the last steps have a learning rate that falls along a line; None: half of all"""
    epoch_steps: PositiveInt | None = None
    """the learning rate is lowered once in so many steps; None: an epoch of the paper's, as a share of `steps`"""

    @model_validator(mode="after")
    def _decay_is_part_of_the_training(self) -> Self:
        if self.decay_steps is not None and self.decay_steps > self.steps:
            raise ValueError(f"decay_steps={self.decay_steps} is more than all steps={self.steps}")
        return self

    def learning_rate_factor(self, step: int) -> float:
        """Factor in (0, 1] on the learning rate of `step`, which counts from 1; 0 after the last one.

        1 - max(0, e + 1 - constant epochs) / (decay epochs + 1), where e counts epochs from 0: the line would reach 0
        one epoch after the last, and the rate is constant inside an epoch. The last epoch may be cut short.
        """
        decay_steps = self.steps // 2 if self.decay_steps is None else self.decay_steps
        epoch_steps = self.epoch_steps or max(self.steps // self.epochs, 1)
        epochs = -(-self.steps // epoch_steps)
        decay_epochs = decay_steps // epoch_steps
        epoch = (step - 1) // epoch_steps
        return max(0.0, 1.0 - max(0, epoch + 1 - (epochs - decay_epochs)) / (decay_epochs + 1))
