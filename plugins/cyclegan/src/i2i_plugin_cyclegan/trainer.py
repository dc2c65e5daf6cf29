"""The training of CycleGAN (paper, section 3 and appendix; constants of the authors' PyTorch release)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import BICUBIC
from i2i_toolkit import (
    A_TO_B,
    B_TO_A,
    DOMAINS,
    AdamOptions,
    Betas,
    CropOptions,
    ImagePool,
    LinearDecay,
    Objective,
    PatchDiscriminatorOptions,
    UnpairedLayout,
    l1,
    two_way_preview,
)


class Options(LinearDecay, AdamOptions, CropOptions, PatchDiscriminatorOptions):
    """How it is trained. The defaults are the paper's: 200 epochs of the 1334 images of its horses and zebras."""

    steps: PositiveInt = 266_800
    batch_size: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-4
    """of both optimizers"""
    betas: Betas = (0.5, 0.999)
    cycle_weight_a: NonNegativeFloat = 10.0
    """of the way from A to B and back (paper: lambda)"""
    cycle_weight_b: NonNegativeFloat = 10.0
    """of the way from B to A and back"""
    identity_weight: NonNegativeFloat = 0.5
    """of images that are in the target domain already, as a share of that domain's cycle weight; 0 is faster"""
    pool_size: NonNegativeInt = 50
    """generated images per domain from which the discriminators also see older ones; 0: the newest only"""
    objective: Objective = "lsgan"
    """lsgan: squares (paper); vanilla: cross-entropy; wgangp: the release's, which is without a gradient penalty"""


class CycleGANTrainer(Trainer[CycleGAN, Options]):
    """Two phases a step: both generators learn, then both discriminators, from images made before that.

    The generators' phase puts its images into the pools, where they wait for the discriminators' phase. The pools
    are networks without parameters, so that a checkpoint between any two phases holds them.
    """

    Options = Options
    Layout = UnpairedLayout
    shrunk: ClassVar = {
        "steps": 4,
        "epoch_steps": 1,
        "pool_size": 2,
        "discriminator_layers": 2,
        "discriminator_channels": 4,
        "enlarge_px": 2,
    }
    """a shallow, narrow discriminator, a pool of two, and four steps, two of them with a falling rate"""

    def __init__(self, model: CycleGAN, options: Options) -> None:
        super().__init__(model, options)
        config = model.config
        _check(config, options)
        options.check_image_size(config.image_size, config.architecture.multiple)
        # G and F of the paper.
        self.a_to_b, self.b_to_a = model.generators[A_TO_B], model.generators[B_TO_A]
        channels = {"A": config.channels_a, "B": config.channels_b}
        side = config.image_size
        self.discriminators = {domain: options.make_discriminator(channels[domain], config.norm) for domain in DOMAINS}
        self.pools = {
            domain: ImagePool(options.pool_size, options.batch_size, (channels[domain], side, side))
            for domain in DOMAINS
        }
        self.adversarial = options.adversarial
        self.cycle_weights = {"A": options.cycle_weight_a, "B": options.cycle_weight_b}

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both discriminators, and the pools of generated images."""
        discriminators = {f"discriminator_{domain.lower()}": d for domain, d in self.discriminators.items()}
        pools = {f"pool_{domain.lower()}": pool for domain, pool in self.pools.items()}
        return {**discriminators, **pools}

    @property
    def layout(self) -> UnpairedLayout:
        """Images of trainA/ and trainB/: scaled, cropped, mirrored."""
        config = self.model.config
        preparation = self.options.preparation(config.image_size, BICUBIC)
        return UnpairedLayout(preparation, channels=(config.channels_a, config.channels_b))

    def stages(self) -> Sequence[Stage[None]]:
        """One stage; generators first, as in the release."""
        options = self.options
        generators = Phase(
            name="generators",
            optimizer=options.make_adam(self.a_to_b, self.b_to_a),
            losses=self.generator_losses,
            learning_rate=options.learning_rate_factor,
        )
        discriminators = Phase(
            name="discriminators",
            optimizer=options.make_adam(*self.discriminators.values()),
            losses=self.discriminator_losses,
            learning_rate=options.learning_rate_factor,
        )
        phases = (generators, discriminators)
        return [Stage(name="translation", steps=options.steps, batch_size=options.batch_size, phases=phases)]

    def translations(self, batch: Tensors) -> dict[str, Tensor]:
        """Both domains through both generators.

        `fake_*` is translated, `back_*` is translated and translated back, `same_*` went in as what it should come
        out; without an identity loss there is none of the last.
        """
        if self.model.config.norm == "batch":
            return self._translations_apart(batch)
        a, b, count = batch["A"], batch["B"], len(batch["A"])
        if not self.options.identity_weight:
            made = {"fake_B": self.a_to_b(a), "fake_A": self.b_to_a(b)}
        else:
            # One pass for two: these norms keep the images of a batch apart.
            to_b, to_a = self.a_to_b(torch.cat([a, b])), self.b_to_a(torch.cat([b, a]))
            made = {"fake_B": to_b[:count], "same_B": to_b[count:], "fake_A": to_a[:count], "same_A": to_a[count:]}
        return made | {"back_A": self.b_to_a(made["fake_B"]), "back_B": self.a_to_b(made["fake_A"])}

    def _translations_apart(self, batch: Tensors) -> dict[str, Tensor]:
        """Return the same in the release's passes and their order.

        Each has its own statistics, and moves the running ones.
        """
        made = {"fake_B": self.a_to_b(batch["A"])}
        made["back_A"] = self.b_to_a(made["fake_B"])
        made["fake_A"] = self.b_to_a(batch["B"])
        made["back_B"] = self.a_to_b(made["fake_A"])
        if self.options.identity_weight:
            made |= {"same_B": self.a_to_b(batch["B"]), "same_A": self.b_to_a(batch["A"])}
        return made

    def generator_losses(self, step: Step[None]) -> Losses:
        """Adversarial, cycle and identity losses of both directions (paper, eq. 1 to 3 and section 5.2)."""
        made = self.translations(step.batch)
        losses: dict[str, Tensor] = {}
        for domain in DOMAINS:
            real, fake, weight = step.batch[domain], made[f"fake_{domain}"], self.cycle_weights[domain]
            self.pools[domain].put(fake.detach())
            losses[f"adversarial_{domain}"] = self.adversarial(self.discriminators[domain](fake), 1.0)
            losses[f"cycle_{domain}"] = weight * l1(made[f"back_{domain}"], real)
            if f"same_{domain}" in made:
                identity = l1(made[f"same_{domain}"], real)
                losses[f"identity_{domain}"] = weight * self.options.identity_weight * identity
        return losses

    def discriminator_losses(self, step: Step[None]) -> Losses:
        """Adversarial losses on real images and on the pools' (eq. 1; release: halved, to learn more slowly)."""
        losses: dict[str, Tensor] = {}
        for domain, discriminator in self.discriminators.items():
            real = step.batch[domain]
            fake = self.pools[domain].take(len(real))
            if self.model.config.norm == "batch":
                of_real, of_fake = discriminator(real), discriminator(fake)
            else:
                of_real, of_fake = discriminator(torch.cat([real, fake])).chunk(2)
            losses[domain] = 0.5 * (self.adversarial(of_real, 1.0) + self.adversarial(of_fake, 0.0))
        return losses

    def preview(self, batch: Tensors) -> Tensors:
        """Both directions: the image, what it becomes, and the way back."""
        return two_way_preview(batch, self.model.config.domains, self.a_to_b, self.b_to_a)


def _check(config: Config, options: Options) -> None:
    if config.directions != "both":
        raise TrainingError(
            found="a model of one direction",
            expected="both: the cycle needs the way back",
            fix="--set directions=both",
        )
    if config.channels_a != config.channels_b and options.identity_weight:
        raise TrainingError(
            found=f"images of {config.channels_a} and {config.channels_b} channels, and an identity loss",
            expected="one number of channels: the loss compares what goes into a generator with what comes out",
            fix="--set identity_weight=0",
        )
