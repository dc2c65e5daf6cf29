"""The training of New Paper (Isola et al., arXiv:1611.07004, sections 3.1 and 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_runtime import BICUBIC
from i2i_toolkit import AdamOptions, Betas, LinearDecay, PairedLayout, PatchDiscriminator, Preparation, l1, logistic

from .model import NewPaper


class Options(LinearDecay, AdamOptions):
    """How it is trained."""

    steps: PositiveInt = 80_000
    learning_rate: PositiveFloat = 2e-4
    betas: Betas = (0.5, 0.999)
    l1_weight: NonNegativeFloat = 100.0
    discriminator_channels: PositiveInt = 64
    """after the first convolution"""


class NewPaperTrainer(Trainer[NewPaper, Options]):
    """Two phases a step: the discriminator learns, then the generator, from one and the same translation."""

    Options = Options
    Layout = PairedLayout
    shrunk: ClassVar = {"steps": 4, "epoch_steps": 1, "discriminator_channels": 4}

    def __init__(self, model: NewPaper, options: Options) -> None:
        super().__init__(model, options)
        self.discriminator = PatchDiscriminator(6, options.discriminator_channels, layers=3, norm="instance")

    @property
    def layout(self) -> PairedLayout:
        """Pairs of images, enlarged a little, cropped and mirrored at random."""
        side = self.model.config.image_size
        return PairedLayout(Preparation("resize_and_crop", side + 30, side, BICUBIC))

    def stages(self) -> Sequence[Stage[Tensor]]:
        """One stage; the discriminator learns first."""
        options, rate = self.options, self.options.learning_rate_factor
        discriminator = Phase(
            name="discriminator",
            optimizer=options.make_adam(self.discriminator),
            losses=self.discriminator_losses,
            learning_rate=rate,
        )
        generator = Phase(
            name="generator",
            optimizer=options.make_adam(self.model.generator),
            losses=self.generator_losses,
            learning_rate=rate,
        )
        return [
            Stage(
                name="translation",
                steps=options.steps,
                batch_size=options.batch_size,
                phases=(discriminator, generator),
                shared=self.translate,
            )
        ]

    def translate(self, step: Step[None]) -> Tensor:
        """Translate the input, once for both phases: the generator moves after the last use."""
        return self.model.generator(step.batch["input"])

    def discriminator_losses(self, step: Step[Tensor]) -> Losses:
        """Cross-entropy on real pairs and on generated ones; half of it, so that the discriminator learns slowly."""
        return {
            "real": 0.5 * logistic(self.judge(step, step.batch["target"]), 1.0),
            "fake": 0.5 * logistic(self.judge(step, step.shared.detach()), 0.0),
        }

    def generator_losses(self, step: Step[Tensor]) -> Losses:
        """What the discriminator says of the translation, and its distance from the target (eq. 4)."""
        return {
            "adversarial": logistic(self.judge(step, step.shared), 1.0),
            "l1": self.options.l1_weight * l1(step.shared, step.batch["target"]),
        }

    def judge(self, step: Step[Tensor], image: Tensor) -> Tensor:
        """Return the logits of the pair of the input and an image: high for real."""
        return self.discriminator(torch.cat([step.batch["input"], image], dim=1))

    def preview(self, batch: Tensors) -> Tensors:
        """Show the input, its translation and the target."""
        return {"input": batch["input"], "translation": self.model.generator(batch["input"]), "target": batch["target"]}
