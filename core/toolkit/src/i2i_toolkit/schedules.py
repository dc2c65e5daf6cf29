"""Learning-rate schedules that several papers share, with the options that they need."""

from __future__ import annotations

from typing import Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.operations import Record


class LinearDecay(Record):
    """Options of a rate that stays, and in the last steps falls along a line: "linear" of pix2pix and its successors.

    A trainer's Options derive from this and give `steps` the paper's number.
    """

    steps: PositiveInt
    decay_steps: NonNegativeInt | None = None
    """how many of the last steps have a learning rate that falls along a line; None: half of all"""
    epoch_steps: PositiveInt = 1
    """the learning rate is lowered once in so many steps"""

    @model_validator(mode="after")
    def _decay_is_part_of_the_training(self) -> Self:
        if self.decay_steps is not None and self.decay_steps > self.steps:
            raise ValueError(f"decay_steps={self.decay_steps} is more than all steps={self.steps}")
        return self

    def learning_rate_factor(self, step: int) -> float:
        """Factor in [0, 1] on the learning rate of `step`, which counts from 1.

        1 - max(0, e + 1 - constant epochs) / (decay epochs + 1), where e counts epochs from 0: the line would reach 0
        one epoch after the last, and the rate is constant inside an epoch.
        """
        decay_steps = self.steps // 2 if self.decay_steps is None else self.decay_steps
        epoch = (step - 1) // self.epoch_steps
        constant_epochs = (self.steps - decay_steps) // self.epoch_steps
        decay_epochs = decay_steps // self.epoch_steps
        return max(0.0, 1.0 - max(0, epoch + 1 - constant_epochs) / (decay_epochs + 1))
