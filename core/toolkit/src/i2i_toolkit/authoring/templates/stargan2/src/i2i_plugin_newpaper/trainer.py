"""The training of New Paper (Choi et al., arXiv:1912.01865, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_toolkit import AdamOptions, Betas, DomainsLayout, EMAOptions, StepOptions, l1, logistic, r1_penalty

from .model import NewPaper
from .networks import DomainEncoder


class Options(StepOptions, AdamOptions, EMAOptions):
    """How it is trained."""

    steps: PositiveInt = 100_000
    batch_size: PositiveInt = 8
    learning_rate: PositiveFloat = 1e-4
    betas: Betas = (0.0, 0.99)
    ema_decay: float = 0.999
    r1_weight: NonNegativeFloat = 1.0
    style_weight: NonNegativeFloat = 1.0
    diversity_weight: NonNegativeFloat = 1.0
    """at the start; it fades to 0 over the training"""
    cycle_weight: NonNegativeFloat = 1.0


class Translated(NamedTuple):
    """What both phases of a step use."""

    style: Tensor
    """[b, s], of a latent"""
    fake: Tensor
    """[b, 3, h, w], the images in this style"""


class NewPaperTrainer(Trainer[NewPaper, Options]):
    """Two phases a step: the discriminator learns, then generator, mapping network and style encoder."""

    Options = Options
    Layout = DomainsLayout
    shrunk: ClassVar = {"steps": 2, "batch_size": 3}

    def __init__(self, model: NewPaper, options: Options) -> None:
        super().__init__(model, options)
        self.discriminator = DomainEncoder(model.config, 1)

    @property
    def layout(self) -> DomainsLayout:
        """One folder of images for each domain; cropped and mirrored at random."""
        return DomainsLayout(self.model.config.domains, self.model.config.image_size)

    def stages(self) -> Sequence[Stage[Translated]]:
        """One stage; the discriminator learns first."""
        options = self.options
        discriminator = Phase(
            name="discriminator",
            optimizer=options.make_adam(self.discriminator),
            losses=self.discriminator_losses,
        )
        generator = Phase(
            name="generator",
            optimizer=options.make_adam(*self.model.networks.values()),
            losses=self.generator_losses,
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

    def translate(self, step: Step[None]) -> Translated:
        """Translate the images in styles of latents, once for both phases: the generator moves after the last use."""
        style = self.drawn_style(step.batch["reference_domain"])
        return Translated(style, self.model.generator(step.batch["image"], style))

    def drawn_style(self, domain: Tensor) -> Tensor:
        """Return a style for each domain, of latents from the normal distribution."""
        latent = torch.randn(len(domain), self.model.config.latent_dim, device=domain.device)
        return self.model.mapping(latent, domain)

    def discriminator_losses(self, step: Step[Translated]) -> Losses:
        """Real images are real in their domain, translations are not in theirs (eq. 1); R1 on the former."""
        real = step.batch["image"].detach().requires_grad_()
        logits = self.discriminator(real, step.batch["domain"])
        return {
            "real": logistic(logits, 1.0),
            "fake": logistic(self.discriminator(step.shared.fake.detach(), step.batch["reference_domain"]), 0.0),
            "r1": self.options.r1_weight * r1_penalty(logits, real),
        }

    def generator_losses(self, step: Step[Translated]) -> Losses:
        """Translations pass for real, show their style, differ from others, and become the image again (eq. 1 to 4)."""
        model, options = self.model, self.options
        image, target, (style, fake) = step.batch["image"], step.batch["reference_domain"], step.shared
        with torch.no_grad():
            other = model.generator(image, self.drawn_style(target))
        back = model.generator(fake, model.style_encoder(image, step.batch["domain"]))
        fade = 1 - (step.number - 1) / options.steps
        return {
            "adversarial": logistic(self.discriminator(fake, target), 1.0),
            "style": options.style_weight * l1(model.style_encoder(fake, target), style),
            "diversity": -options.diversity_weight * fade * l1(fake, other),
            "cycle": options.cycle_weight * l1(back, image),
        }

    def preview(self, batch: Tensors) -> Tensors:
        """Show the image, a reference, and the image like the reference."""
        style = self.model.style_encoder(batch["reference"], batch["reference_domain"])
        translated = self.model.generator(batch["image"], style)
        return {"image": batch["image"], "reference": batch["reference"], "like it": translated}
