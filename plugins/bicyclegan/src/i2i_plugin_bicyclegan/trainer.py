"""The training of BicycleGAN (paper, section 3; constants of the authors' release)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.networks import Discriminator, Encoding, smallest_side
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import BICUBIC
from i2i_toolkit import (
    AdamOptions,
    Betas,
    CropOptions,
    Direction,
    EMAOptions,
    Fraction,
    LinearDecay,
    PairedLayout,
    fixed_parameters,
    kl_divergence,
    l1,
    least_squares,
    logistic,
    wasserstein,
)

ENCODED = "encoded"
RANDOM = "random"
SHARED = "shared"

SHOWN_STYLES = 3
"""random translations of each image in the sample grid"""


class Options(LinearDecay, AdamOptions, CropOptions, EMAOptions):
    """How it is trained. The defaults are those of the authors' release, for its smallest set (facades)."""

    epochs: ClassVar[int] = 400

    steps: PositiveInt = 80_000
    """400 epochs of 400 pairs, two at a time"""
    batch_size: PositiveInt = 2
    """even: the first half of a batch is encoded, the second shows the discriminator of random styles what is real"""
    learning_rate: PositiveFloat = 2e-4
    betas: Betas = (0.5, 0.999)
    adversarial: Literal["least_squares", "logistic", "wasserstein"] = "least_squares"
    encoded_gan_weight: NonNegativeFloat = 1.0
    """of fooling the discriminator with translations in an encoded style"""
    random_gan_weight: NonNegativeFloat = 1.0
    """of fooling the discriminator with translations in a random style"""
    l1_weight: NonNegativeFloat = 10.0
    """of the distance between a translation in the style of its own target and that target"""
    latent_weight: NonNegativeFloat = 0.5
    """of the distance between a random latent and the one that is read from its translation"""
    kl_weight: NonNegativeFloat = 0.01
    """of the divergence of encoded latents from the normal distribution, summed over the batch"""
    discriminator_channels: PositiveInt = 64
    discriminator_layers: Annotated[int, Field(ge=1, le=5)] = 3
    """that downsample; the release has 2 for images of 128 pixels"""
    discriminator_scales: Annotated[int, Field(ge=1, le=4)] = 2
    one_discriminator: bool = False
    """for encoded and random styles together, in place of one for each"""
    conditional_discriminator: bool = False
    """whether discriminators see the image that was translated"""
    dropout: Fraction = 0.0
    """in the middle of the generator while training; the release's scripts switch it on, with 0.5"""
    direction: Direction = "a_to_b"

    @model_validator(mode="after")
    def _batch_has_two_halves(self) -> Self:
        if self.batch_size % 2:
            raise ValueError(
                f"batch_size={self.batch_size} is odd, and BicycleGAN needs an even one: the first half of each batch "
                f"is encoded, the second half is not; use {self.batch_size + 1}"
            )
        return self


class Pairs(NamedTuple):
    """What a step works on; k is half the batch."""

    source: Tensor
    """[k, c, h, w], translated in both styles (release; the paper translates each pair's own)"""
    target: Tensor
    """[k, 3, h, w], what `source` becomes: it is encoded, and is real for the discriminator of encoded styles"""
    other_source: Tensor
    other_target: Tensor
    """real for the discriminator of random styles"""


class BicycleGANTrainer(Trainer[BicycleGAN, Options]):
    """One phase a step: encoder, generator and discriminators learn together.

    The release updates encoder and generator first, from two backward passes with the encoder frozen in the second,
    and then the discriminators on images from before that update. No update sees the result of another, so one
    backward pass over the sum gives the same gradients, when each loss is cut off from what it must not teach:
    the latent loss from the encoder (release; else the two would agree on a hidden code, paper, section 4), the
    adversarial losses of the generator from the discriminators, and those of the discriminators from the generator.
    """

    Options = Options
    Layout = PairedLayout
    shrunk: ClassVar = {"steps": 4, "discriminator_channels": 2, "discriminator_layers": 2, "enlarge_px": 2}
    """few channels, two layers that downsample in the discriminators, four steps"""

    def __init__(self, model: BicycleGAN, options: Options) -> None:
        super().__init__(model, options)
        if model.encoder is None:
            raise TrainingError(
                found="a Config with encoder=None: a generator alone",
                expected="an encoder, from which the generator learns what its latent means",
                fix="--set encoder=resnet",
            )
        config = model.config
        _check_size(config.image_size, options)
        self.generator, self.encoder = model.generator, model.encoder
        self.has_encoded = config.method != "clr_gan"
        self.has_random = config.method != "cvae_gan"
        # A cLR-GAN's encoder guesses a latent and never how sure it is (paper, section 3.3).
        self.encoder.log_variance.requires_grad_(self.has_encoded)
        self.generator.dropout.p = options.dropout
        self.discriminators = self._make_discriminators()

    @property
    def layout(self) -> PairedLayout:
        """Pairs of images, enlarged, cropped and mirrored together."""
        config, options = self.model.config, self.options
        return PairedLayout(
            options.preparation(config.image_size, BICUBIC),
            direction=options.direction,
            input_channels=config.source_channels,
            target_channels=config.target_channels,
        )

    def stages(self) -> Sequence[Stage[None]]:
        """One stage of one phase."""
        phase = Phase(
            name="bicycle",
            optimizer=self.options.make_adam(*self.all_networks.values()),
            losses=self.losses,
            learning_rate=self.options.learning_rate_factor,
        )
        options = self.options
        return [Stage(name="translation", steps=options.steps, batch_size=options.batch_size, phases=(phase,))]

    def noise(self, count: int, like: Tensor) -> Tensor:
        """Latents from the normal distribution."""
        return torch.randn(count, self.model.config.latent_dim, device=like.device)

    def losses(self, step: Step[None]) -> Losses:
        """All losses of one batch, weighted. A loss of weight 0 is left out."""
        pairs = self.pairs(step.batch)
        latents: dict[str, Tensor] = {}
        losses: dict[str, Tensor] = {}
        if self.has_encoded:
            encoding = self.encoder(pairs.target)
            latents[ENCODED] = self.sampled(encoding)
            losses["kl"] = self.options.kl_weight * kl_divergence(encoding.mean, encoding.log_variance)
        if self.has_random:
            latents[RANDOM] = self.noise(len(pairs.source), pairs.source)
        made = self.translations(pairs.source, latents)
        if self.has_encoded:
            losses["l1"] = self.options.l1_weight * l1(made[ENCODED], pairs.target)
        if self.has_random and self.options.latent_weight:
            losses["latent"] = self.options.latent_weight * l1(self.latent_of(made[RANDOM]), latents[RANDOM])
        for style, discriminator in self.judges().items():
            losses |= self.adversarial_losses(style, discriminator, pairs, made[style])
        return losses

    def sampled(self, encoding: Encoding) -> Tensor:
        """Return a latent from each distribution, as a function of its mean and variance that has a gradient."""
        noise = self.noise(len(encoding.mean), encoding.mean)
        return encoding.mean + noise * torch.exp(0.5 * encoding.log_variance)

    def pairs(self, batch: Tensors) -> Pairs:
        """Return the two halves of a batch. Methods that use one style only work on all of it."""
        source, target = batch["input"], batch["target"]
        if not (self.has_encoded and self.has_random):
            return Pairs(source, target, source, target)
        if len(source) % 2:
            raise TrainingError(
                found=f"a batch (or a part of one, with --accumulate) of {len(source)} pairs",
                expected="an even number: one half is encoded, the other is not",
                fix="a larger batch size, or fewer parts",
            )
        (first, second), (first_target, second_target) = source.chunk(2), target.chunk(2)
        return Pairs(first, first_target, second, second_target)

    def translations(self, source: Tensor, latents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`source` in every style: in one pass, unless a batch norm would mix the styles' statistics."""
        if self.model.config.norm == "batch":
            return {style: self.generator(source, latent) for style, latent in latents.items()}
        made = self.generator(torch.cat([source] * len(latents)), torch.cat([*latents.values()]))
        return dict(zip(latents, made.chunk(len(latents)), strict=True))

    def latent_of(self, made: Tensor) -> Tensor:
        """Return what the encoder reads from generated images. Only a cLR-GAN's learns from being wrong about it."""
        if self.has_encoded:
            with fixed_parameters(self.encoder):
                return self.encoder(made).mean
        return self.encoder(made).mean

    def judges(self) -> Mapping[str, Discriminator]:
        """Style -> the discriminator of its translations; a style whose weight is 0 has none."""
        names = {style: SHARED if self.options.one_discriminator else style for style in self._judged_styles()}
        return {style: self.discriminators[f"discriminator_{name}"] for style, name in names.items()}

    def adversarial_losses(self, style: str, discriminator: Discriminator, pairs: Pairs, made: Tensor) -> Losses:
        """Return the generator's adversarial losses, or the discriminators'."""
        encoded = style == ENCODED
        shown = self._shown(pairs.source, made)
        real = self._shown(*((pairs.source, pairs.target) if encoded else (pairs.other_source, pairs.other_target)))
        with fixed_parameters(discriminator):
            fooled = discriminator(shown)
        fake_logits, real_logits = self._judged_apart(discriminator, shown.detach(), real)
        weight = self.options.encoded_gan_weight if encoded else self.options.random_gan_weight
        return {
            f"{style}_gan": weight * self.against(fooled, is_real=True),
            f"discriminator_{style}_fake": self.against(fake_logits, is_real=False),
            f"discriminator_{style}_real": self.against(real_logits, is_real=True),
        }

    def against(self, logits: Sequence[Tensor], *, is_real: bool) -> Tensor:
        """Return the adversarial loss of the logits of all scales, summed over the scales."""
        loss = ADVERSARIAL[self.options.adversarial]
        return torch.stack([loss(scale, float(is_real)) for scale in logits]).sum()

    def preview(self, batch: Tensors) -> Tensors:
        """Return the pair, its target through encoder and generator, and a few styles, the same for all rows."""
        source, target = batch["input"], batch["target"]
        columns = {"input": source, "target": target}
        if self.has_encoded:
            columns["in the target's style"] = self.generator(source, self.encoder(target).mean)
        for number, latent in enumerate(self.noise(SHOWN_STYLES, source), start=1):
            columns[f"style {number}"] = self.generator(source, latent.expand(len(source), -1))
        return columns

    def _judged_styles(self) -> list[str]:
        weights = {
            ENCODED: self.options.encoded_gan_weight if self.has_encoded else 0.0,
            RANDOM: self.options.random_gan_weight if self.has_random else 0.0,
        }
        return [style for style, weight in weights.items() if weight]

    def _make_discriminators(self) -> dict[str, Discriminator]:
        config, options = self.model.config, self.options
        channels = config.target_channels + (config.source_channels if options.conditional_discriminator else 0)
        styles = self._judged_styles()
        names = [SHARED] if options.one_discriminator and styles else styles
        return {
            f"discriminator_{name}": Discriminator(
                channels,
                options.discriminator_channels,
                options.discriminator_layers,
                options.discriminator_scales,
                config.norm,
            )
            for name in names
        }

    def _shown(self, source: Tensor, image: Tensor) -> Tensor:
        """Return what a discriminator sees of an image."""
        return torch.cat([source, image], dim=1) if self.options.conditional_discriminator else image

    def _judged_apart(
        self, discriminator: Discriminator, fake: Tensor, real: Tensor
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Logits of both: in one pass, unless a batch norm would mix what tells them apart."""
        if self.model.config.norm == "batch":
            return discriminator(fake), discriminator(real)
        scales = [logits.split([len(fake), len(real)]) for logits in discriminator(torch.cat([fake, real]))]
        return [scale[0] for scale in scales], [scale[1] for scale in scales]


ADVERSARIAL: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "least_squares": least_squares,
    "logistic": logistic,
    "wasserstein": wasserstein,
}


def _check_size(image_size: int, options: Options) -> None:
    smallest = smallest_side(options.discriminator_layers, options.discriminator_scales)
    if image_size < smallest:
        raise TrainingError(
            found=f"discriminators of {options.discriminator_layers} layers at {options.discriminator_scales} scales "
            f"and images of {image_size} pixels",
            expected=f"at least {smallest} pixels",
            fix=_smaller_discriminators(image_size, options),
        )


def _smaller_discriminators(image_size: int, options: Options) -> str:
    """As many layers and scales as images of this size allow, the layers first."""
    scales = options.discriminator_scales
    while scales > 1 and image_size < smallest_side(1, scales):
        scales -= 1
    layers = options.discriminator_layers
    while layers > 1 and image_size < smallest_side(layers, scales):
        layers -= 1
    wanted = {"discriminator_layers": layers, "discriminator_scales": scales}
    return " ".join(f"--set {key}={value}" for key, value in wanted.items() if value != getattr(options, key))
