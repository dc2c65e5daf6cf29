"""The training of StarGAN v2 (Choi et al., CVPR 2020, arXiv:1912.01865, section 3.2; constants of the release)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.optim import Adam

from i2i_plugin_stargan2.model import GENERATOR, MAPPING, STYLE_ENCODER, StarGAN2
from i2i_plugin_stargan2.networks import Discriminator, Encoded
from i2i_plugin_stargan2.networks.face import face_masks
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_toolkit import (
    Betas,
    DomainsLayout,
    EMAOptions,
    Fraction,
    StepOptions,
    WeightDecayOptions,
    fixed_parameters,
    l1,
    learned,
    logistic,
    r1_penalty,
)

Probability = Annotated[float, Field(ge=0.0, le=1.0)]

DISCRIMINATOR = "discriminator"

WHOLE_DIVERSITY, DETAILED_DIVERSITY = 2.0, 1.0
"""Weights of the diversity loss in the release: without and with details that pass through masks."""

SHOWN_LOOKS = 2
"""Latents per domain in the sample images."""


class Options(StepOptions, WeightDecayOptions, EMAOptions):
    """How it is trained. The defaults are the release's."""

    steps: PositiveInt = 100_000
    batch_size: PositiveInt = 8
    learning_rate: PositiveFloat = 1e-4
    mapping_learning_rate: PositiveFloat = 1e-6
    betas: Betas = (0.0, 0.99)
    weight_decay: NonNegativeFloat = 1e-4
    r1_weight: NonNegativeFloat = 1.0
    style_weight: NonNegativeFloat = 1.0
    cycle_weight: NonNegativeFloat = 1.0
    diversity_weight: NonNegativeFloat | None = None
    """at the start; None: 2, or 1 in a model that passes details on"""
    diversity_steps: PositiveInt | None = None
    """after which the diversity loss has faded away; None: all of them"""
    ema_decay: Fraction = 0.999
    """of the EMA of generator, mapping network and style encoder, which is what is saved; 0: none"""
    crop_probability: Probability = 0.5
    """how often an image is cropped at random"""
    flip: bool = True
    """mirror every other image; switch it off where left and right mean something"""


class Translations(NamedTuple):
    """What a phase of the generator has made of a batch."""

    fake: Tensor
    """[b, 3, h, w]"""
    other: Tensor
    """the same images in another style of the same domain; no gradient"""
    style: Tensor
    """[b, s], which was asked for"""
    found_style: Tensor
    """[b, s], which the style encoder sees in `fake`"""
    own_style: Tensor
    """[b, s], of the images before the translation"""


class Shared(NamedTuple):
    """What the first three phases use, while the generator stays as it is."""

    encoded: Encoded
    """the images inside the generator"""
    masks: tuple[Tensor, ...]
    """where details of the images pass; none in a model that passes none"""
    style: Tensor
    """[b, s], of a latent"""
    other_style: Tensor
    """[b, s], of another latent of the same domain; no gradient"""
    fake: Tensor
    """[b, 3, h, w], the images in `style`"""


def diversity_factor(step: int, steps: int) -> float:
    """1 at step 1, and a line that reaches 0 after `steps` steps."""
    return max(0.0, 1.0 - (step - 1) / steps)


class StarGAN2Trainer(Trainer[StarGAN2, Options]):
    """Four phases a step: the discriminator learns twice, then the generator does.

    Each learns from styles of latents first, and then from styles of references; in the first of its phases the
    generator learns together with mapping network and style encoder.

    The numbers are the release's, the work is less. Until the third phase is over the generator stays as it is, so its
    encoder, which no style has touched, sees an image once for all three phases, and the images that the
    discriminator learns from in the first are those that the generator learns from in the third. What only serves as
    a target has no gradient; what does not learn in a phase gets none.
    """

    Options = Options
    Layout = DomainsLayout
    shrunk: ClassVar = {"steps": 2, "batch_size": 3}
    """two steps, each with every domain"""

    def __init__(self, model: StarGAN2, options: Options) -> None:
        super().__init__(model, options)
        self.generator = model.generator
        self.discriminator = Discriminator(model.config)

    @property
    def diversity_weight(self) -> float:
        """Of the diversity loss, at the start."""
        if self.options.diversity_weight is not None:
            return self.options.diversity_weight
        return DETAILED_DIVERSITY if self.model.config.has_masks else WHOLE_DIVERSITY

    @property
    def layout(self) -> DomainsLayout:
        """One folder of images per domain: cropped and mirrored at random."""
        config, options = self.model.config, self.options
        return DomainsLayout(config.domains, config.image_size, options.crop_probability, options.flip)

    def stages(self) -> Sequence[Stage[Shared]]:
        """One stage of four phases, in the release's order."""
        of_discriminator = self.make_adam([DISCRIMINATOR])
        of_generator = self.make_adam([GENERATOR, MAPPING, STYLE_ENCODER])
        return [
            Stage(
                name="translation",
                steps=self.options.steps,
                batch_size=self.options.batch_size,
                shared=self.shared,
                phases=(
                    Phase(
                        name="discriminator_latent",
                        optimizer=of_discriminator,
                        losses=self.discriminator_latent_losses,
                    ),
                    Phase(
                        name="discriminator_reference",
                        optimizer=of_discriminator,
                        losses=self.discriminator_reference_losses,
                    ),
                    Phase(name="generator_latent", optimizer=of_generator, losses=self.generator_latent_losses),
                    # The same optimizer: it passes by what has no gradient, all but the generator.
                    Phase(name="generator_reference", optimizer=of_generator, losses=self.generator_reference_losses),
                ),
            )
        ]

    def make_adam(self, names: Sequence[str]) -> Adam:
        """One optimizer for these networks, each a group; the mapping network's rate is its own."""
        rates = {MAPPING: self.options.mapping_learning_rate}
        groups = [
            {"params": learned(self.all_networks[name]), "lr": rates.get(name, self.options.learning_rate)}
            for name in names
        ]
        return self.options.make_adam_of(groups)

    def latents(self, count: int, like: Tensor) -> Tensor:
        """Latents from the normal distribution."""
        return torch.randn(count, self.model.config.latent_dim, device=like.device)

    # --- Phases -------------------------------------------------------------------------------------------------------

    def shared(self, step: Step[None]) -> Shared:
        """Return the images inside the generator, two styles from latents, and translations in the first of them."""
        image, target = step.batch["image"], step.batch["reference_domain"]
        encoded, masks = self.generator.encode(image), self.masks(image)
        style = self.model.mapping(self.latents(len(image), image), target)
        with torch.no_grad():
            other_style = self.model.mapping(self.latents(len(image), image), target)
        return Shared(encoded, masks, style, other_style, fake=self.generator.decode(encoded, style, masks))

    def discriminator_latent_losses(self, step: Step[Shared]) -> Losses:
        """Return the discriminator against the translations in styles of latents."""
        return self.discriminator_losses(step, step.shared.fake.detach())

    def discriminator_reference_losses(self, step: Step[Shared]) -> Losses:
        """Return the discriminator against the translations in styles of references."""
        with torch.no_grad():
            style = self.model.style_encoder(step.batch["reference"], step.batch["reference_domain"])
            fake = self.generator.decode(step.shared.encoded, style, step.shared.masks)
        return self.discriminator_losses(step, fake)

    def discriminator_losses(self, step: Step[Shared], fake: Tensor) -> Losses:
        """Real images are real in their domain, translations are not in theirs (paper, eq. 1); R1 on the former."""
        real = step.batch["image"].detach().requires_grad_()
        logits = self.discriminator(real, step.batch["domain"])
        return {
            "real": logistic(logits, 1.0),
            "fake": logistic(self.discriminator(fake, step.batch["reference_domain"]), 0.0),
            "r1": self.options.r1_weight * r1_penalty(logits, real),
        }

    def generator_latent_losses(self, step: Step[Shared]) -> Losses:
        """Teach generator, mapping network and style encoder with styles of latents."""
        shared = step.shared
        with torch.no_grad():
            other = self.generator.decode(shared.encoded, shared.other_style, shared.masks)
        target = step.batch["reference_domain"]
        own_style = self.model.style_encoder(step.batch["image"], step.batch["domain"])
        found_style = self.model.style_encoder(shared.fake, target)
        made = Translations(shared.fake, other, shared.style, found_style, own_style)
        return self.generator_losses(step, made)

    def generator_reference_losses(self, step: Step[Shared]) -> Losses:
        """Return the generator alone, with styles of references."""
        target, encoder = step.batch["reference_domain"], self.model.style_encoder
        encoded, masks = self.generator.encode(step.batch["image"]), step.shared.masks
        with torch.no_grad():
            style = encoder(step.batch["reference"], target)
            other = self.generator.decode(encoded, encoder(step.batch["other_reference"], target), masks)
            own_style = encoder(step.batch["image"], step.batch["domain"])
        fake = self.generator.decode(encoded, style, masks)
        with fixed_parameters(encoder):
            found_style = encoder(fake, target)
        return self.generator_losses(step, Translations(fake, other, style, found_style, own_style))

    def generator_losses(self, step: Step[Shared], made: Translations) -> Losses:
        """Return what the translations have to be.

        They pass for real (paper, eq. 1), have the style asked for (eq. 2), differ from those in another style (eq. 3)
        and become the image again in its own style (eq. 4).
        """
        options = self.options
        back = self.generator.decode(self.generator.encode(made.fake), made.own_style, self.masks(made.fake))
        factor = diversity_factor(step.number, options.diversity_steps or options.steps)
        return {
            "adversarial": logistic(self.discriminator(made.fake, step.batch["reference_domain"]), 1.0),
            "style": options.style_weight * l1(made.found_style, made.style),
            "diversity": -self.diversity_weight * factor * l1(made.fake, made.other),
            "cycle": options.cycle_weight * l1(back, step.batch["image"]),
        }

    @torch.no_grad()
    def masks(self, image: Tensor) -> tuple[Tensor, ...]:
        """Where details of these images pass; nothing in a model that passes none."""
        return () if self.model.fan is None else face_masks(self.model.fan(image))

    # --- For people and tests -----------------------------------------------------------------------------------------

    def preview(self, batch: Tensors) -> Tensors:
        """Return the image in each domain with looks that are the same for all rows, then in that of a reference."""
        image, model = batch["image"], self.model
        encoded, masks = self.generator.encode(image), self.masks(image)
        columns = {"image": image}
        for number, latent in enumerate(self.latents(SHOWN_LOOKS, image), start=1):
            for index, domain in enumerate(model.config.domains):
                style = model.mapping(latent[None], torch.tensor([index], device=image.device))
                columns[f"{domain} {number}"] = self.generator.decode(encoded, style.expand(len(image), -1), masks)
        columns["reference"] = batch["reference"]
        style = model.style_encoder(batch["reference"], batch["reference_domain"])
        columns["like it"] = self.generator.decode(encoded, style, masks)
        return columns
