"""The training of pix2pix (paper, sections 3.1 and 3.3; constants of the authors' PyTorch release)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_runtime import BICUBIC
from i2i_toolkit import (
    TEST_TIME_BEHAVIOURS,
    AdamOptions,
    Betas,
    CropOptions,
    Direction,
    LinearDecay,
    Objective,
    PairedLayout,
    PatchDiscriminatorOptions,
    Translation,
    gradient_penalty,
    l1,
)

GRADIENT_PENALTY = 10.0
"""Weight of the gradient penalty of "wgangp" (release)."""


class Options(LinearDecay, AdamOptions, CropOptions, PatchDiscriminatorOptions):
    """How it is trained. The defaults are the paper's: 200 epochs of the 400 images of its facades."""

    steps: PositiveInt = 80_000
    batch_size: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-4
    """of both optimizers"""
    betas: Betas = (0.5, 0.999)
    objective: Objective = "vanilla"
    """vanilla: cross-entropy (paper); lsgan: squares; wgangp: Wasserstein with gradient penalty"""
    l1_weight: NonNegativeFloat = 100.0
    direction: Direction = "a_to_b"
    """which image of a pair is translated into which; the release's facades are b_to_a"""


class Pix2PixTrainer(Trainer[Pix2Pix, Options]):
    """Two phases a step: the discriminator learns, then the generator, from one and the same translation."""

    Options = Options
    Layout = PairedLayout
    shrunk: ClassVar = {
        "steps": 4,
        "epoch_steps": 1,
        "discriminator_layers": 2,
        "discriminator_channels": 4,
        "enlarge_px": 2,
    }
    """a shallow, narrow discriminator and four steps, two of them with a falling rate"""

    def __init__(self, model: Pix2Pix, options: Options) -> None:
        super().__init__(model, options)
        config = model.config
        options.check_image_size(config.image_size, config.architecture.multiple)
        self.discriminator = options.make_discriminator(config.input_channels + config.output_channels, config.norm)
        self.adversarial = options.adversarial

    @property
    def layout(self) -> PairedLayout:
        """Pairs: side by side in train/, or in A/ and B/; mirrored, enlarged, cropped."""
        config = self.model.config
        return PairedLayout(
            self.options.preparation(config.image_size, BICUBIC),
            direction=self.options.direction,
            input_channels=config.input_channels,
            target_channels=config.output_channels,
        )

    def stages(self) -> Sequence[Stage[Tensor]]:
        """One stage; the discriminator first, as in the release."""
        options = self.options
        discriminator = Phase(
            name="discriminator",
            optimizer=options.make_adam(self.discriminator),
            losses=self.discriminator_losses,
            learning_rate=options.learning_rate_factor,
        )
        generator = Phase(
            name="generator",
            optimizer=options.make_adam(self.model.generator),
            losses=self.generator_losses,
            learning_rate=options.learning_rate_factor,
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
        """Return the generator's image for the input, used by both phases: the generator moves after the last use."""
        return self.model.generator(step.batch["input"])

    def discriminator_losses(self, step: Step[Tensor]) -> Losses:
        """Losses on generated and on real pairs (eq. 1; release: both halved, so that it learns more slowly)."""
        fake = torch.cat([step.batch["input"], step.shared.detach()], dim=1)
        real = torch.cat([step.batch["input"], step.batch["target"]], dim=1)
        # Generated before real, and apart: with batch norm each pass has its own statistics and moves the running ones.
        losses = {
            "fake": 0.5 * self.adversarial(self.discriminator(fake), 0.0),
            "real": 0.5 * self.adversarial(self.discriminator(real), 1.0),
        }
        if self.options.objective == "wgangp":
            share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
            losses["penalty"] = GRADIENT_PENALTY * gradient_penalty(self.discriminator, real, fake, share)
        return losses

    def generator_losses(self, step: Step[Tensor]) -> Losses:
        """Return what the discriminator, just updated, says of the image, and its distance from the target (eq. 4)."""
        fake = step.shared
        logits = self.discriminator(torch.cat([step.batch["input"], fake], dim=1))
        return {
            "adversarial": self.adversarial(logits, 1.0),
            "l1": self.options.l1_weight * l1(fake, step.batch["target"]),
        }

    def preview(self, batch: Tensors) -> Tensors:
        """Input, what each behaviour at test time makes of it, and the target."""
        image, config = batch["input"], self.model.config
        columns = {"input": image}
        translation = Translation(self.model.generator, config.dropout_shapes)
        noise = 2 * torch.rand(len(image), sum(translation.noise_sizes), device=image.device) - 1
        for index, name in enumerate(TEST_TIME_BEHAVIOURS):
            behaviour = torch.full((len(image),), index, device=image.device)
            columns[name] = translation(image, behaviour, noise if config.dropout_shapes else None)
        columns["target"] = batch["target"]
        return columns
