"""The training of New Paper (Rott Shaham et al., arXiv:1905.01164, section 2.3): scale by scale."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_runtime import Record
from i2i_toolkit import (
    AdamOptions,
    Betas,
    LearnedSize,
    SingleImageLayout,
    SingleImageOptions,
    gradient_penalty,
    resample_to,
    wasserstein,
)

from .config import Config
from .model import NewPaper
from .networks import layers


class Options(AdamOptions, SingleImageOptions):
    """How it is trained."""

    steps_per_scale: PositiveInt = 2000
    learning_rate: PositiveFloat = 5e-4
    betas: Betas = (0.5, 0.999)
    reconstruction_weight: NonNegativeFloat = 10.0
    penalty_weight: NonNegativeFloat = 0.1
    noise_amplitude: PositiveFloat = 0.1
    """strength of a scale's noise, as a share of how far the reconstruction below is from the image"""


class NewPaperTrainer(Trainer[NewPaper, Options]):
    """A stage for every scale, in which the scales below stay as they are."""

    Options = Options
    Layout = SingleImageLayout
    shrunk: ClassVar = {"steps_per_scale": 1, "max_size": 32}

    def __init__(self, model: NewPaper, options: Options) -> None:
        super().__init__(model, options)
        self.pyramid, self.sizes = model.pyramid, model.config.sizes
        self.critics = nn.ModuleList(layers(model.config, 1) for _ in self.sizes)

    @property
    def layout(self) -> SingleImageLayout:
        """The one image, as it is."""
        return SingleImageLayout(self.sizes[-1])

    @classmethod
    def config_for(cls, config: Record, options: Options, root: Path) -> Record:
        """Take height and width of the image, made smaller if it is larger than `max_size`."""
        learned = LearnedSize(options.reduced, Config.model_validate(config).coarsest, "coarsest")
        return learned.complete(config, root)

    def stages(self) -> Sequence[Stage[Tensor]]:
        """One for every scale, from coarse to fine; the critic learns first."""
        return [self._stage(scale) for scale in range(len(self.sizes))]

    def _stage(self, scale: int) -> Stage[Tensor]:
        critic = Phase(
            name="critic",
            optimizer=self.options.make_adam(self.critics[scale]),
            losses=partial(self.critic_losses, scale),
        )
        generator = Phase(
            name="generator",
            optimizer=self.options.make_adam(self.pyramid.generators[scale]),
            losses=partial(self.generator_losses, scale),
        )
        return Stage(
            name=f"scale_{scale}",
            steps=self.options.steps_per_scale,
            batch_size=1,
            phases=(critic, generator),
            shared=partial(self.sample, scale),
            begin=partial(self.begin, scale),
        )

    @torch.no_grad()
    def begin(self, scale: int, batch: Tensors) -> None:
        """Set the strength of the noise by how far the reconstruction of the scales below is from the image."""
        if scale > 0:
            real, maps = self.real(scale, batch), self.noise(scale, batch)
            below = resample_to(self.pyramid.reconstruction(maps[:-1]), self.sizes[scale])
            error = (real - below).square().mean().sqrt()
            self.pyramid.amplitudes[scale] = self.options.noise_amplitude * error

    def real(self, scale: int, batch: Tensors) -> Tensor:
        """Return the image at a scale."""
        return resample_to(batch["image"], self.sizes[scale])

    def noise(self, scale: int, batch: Tensors) -> list[Tensor]:
        """Draw a map of noise for each scale up to this one."""
        device = batch["image"].device
        return [torch.randn(1, 3, *size, device=device) for size in self.sizes[: scale + 1]]

    def sample(self, scale: int, step: Step[None]) -> Tensor:
        """Draw a sample at a scale, once for both phases: the generator moves after the last use."""
        zero = torch.zeros(1, device=step.batch["image"].device)
        return self.pyramid(zero, zero, *self.noise(scale, step.batch))

    def critic_losses(self, scale: int, step: Step[Tensor]) -> Losses:
        """Scores of the real image, to be raised, and of the sample, to be lowered (WGAN-GP)."""
        critic, real, fake = self.critics[scale], self.real(scale, step.batch), step.shared.detach()
        share = torch.rand((), device=real.device)
        return {
            "real": wasserstein(critic(real), 1.0),
            "fake": wasserstein(critic(fake), 0.0),
            "penalty": self.options.penalty_weight * gradient_penalty(critic, real, fake, share),
        }

    def generator_losses(self, scale: int, step: Step[Tensor]) -> Losses:
        """What the critic says of the sample, and how far the reconstruction is from the image (eq. 6)."""
        reconstruction = self.pyramid.reconstruction(self.noise(scale, step.batch))
        error = (reconstruction - self.real(scale, step.batch)).square().mean()
        return {
            "adversarial": wasserstein(self.critics[scale](step.shared), 1.0),
            "reconstruction": self.options.reconstruction_weight * error,
        }

    def preview(self, batch: Tensors) -> Tensors:
        """Show the image, its reconstruction, and a sample."""
        finest = len(self.sizes) - 1
        maps = self.noise(finest, batch)
        zero = torch.zeros(1, device=batch["image"].device)
        columns = {"image": self.real(finest, batch), "reconstruction": self.pyramid.reconstruction(maps)}
        return columns | {"sample": self.pyramid(zero, zero, *maps)}
