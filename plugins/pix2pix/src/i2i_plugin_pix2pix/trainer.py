"""The training of pix2pix (paper, sections 3.1 and 3.3; constants of the authors' PyTorch release)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim import Adam

from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_plugin_pix2pix.networks import PatchDiscriminator, PixelDiscriminator
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import BICUBIC
from i2i_toolkit import (
    OBJECTIVES,
    Direction,
    DiscriminatorKind,
    LinearDecay,
    Objective,
    PairedLayout,
    Preparation,
    Translation,
    gradient_penalty,
    in_colour,
    l1,
    smallest_side,
)
from i2i_toolkit.networks import discriminators
from i2i_toolkit.networks.generators import BEHAVIOURS

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

DISCRIMINATOR = "discriminator"

GRADIENT_PENALTY = 10.0
"""Weight of the gradient penalty of "wgangp" (release)."""


class Options(LinearDecay):
    """How it is trained. The defaults are the paper's: 200 epochs of the 400 images of its facades."""

    steps: PositiveInt = 80_000
    batch_size: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-4
    """of both optimizers"""
    betas: tuple[Fraction, Fraction] = (0.5, 0.999)
    objective: Objective = "vanilla"
    """vanilla: cross-entropy (paper); lsgan: squares; wgangp: Wasserstein with gradient penalty"""
    l1_weight: NonNegativeFloat = 100.0
    discriminator: DiscriminatorKind = "patch"
    discriminator_layers: Annotated[int, Field(ge=1, le=6)] = 3
    """of the patch discriminator; 3 sees 70x70 pixels, 1 sees 16x16, 5 sees 286x286"""
    discriminator_channels: PositiveInt = 64
    """after the first convolution"""
    direction: Direction = "a_to_b"
    """which image of a pair is translated into which; the release's facades are b_to_a"""
    preprocess: Literal["resize_and_crop", "crop", "scale_width_and_crop"] = "resize_and_crop"
    enlarge_px: NonNegativeInt = 30
    """images are resized to this much more than the model's size, then cropped at random"""
    flip: bool = True
    """mirror every other pair; switch it off where left and right mean something"""


def make_discriminator(config: Config, options: Options) -> PatchDiscriminator | PixelDiscriminator:
    """The discriminator of pairs that the options ask for; its norm is the generator's."""
    return discriminators.make_discriminator(
        options.discriminator,
        config.input_channels + config.output_channels,
        options.discriminator_channels,
        options.discriminator_layers,
        config.norm,
    )


def make_adam(network: nn.Module, options: Options) -> Adam:
    """The optimizer of one network."""
    return Adam(network.parameters(), lr=options.learning_rate, betas=options.betas, fused=True)


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
        _check(self.model.config, options)
        self.discriminator = make_discriminator(self.model.config, options)
        self._objective = OBJECTIVES[options.objective]

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The generator and the discriminator."""
        return {DISCRIMINATOR: self.discriminator}

    @property
    def layout(self) -> PairedLayout:
        """Pairs: side by side in train/, or in A/ and B/; mirrored, enlarged, cropped."""
        config = self.model.config
        side = config.image_size
        return PairedLayout(
            Preparation(
                self.options.preprocess, side + self.options.enlarge_px, side, flip=self.options.flip, resize=BICUBIC
            ),
            direction=self.options.direction,
            input_channels=config.input_channels,
            target_channels=config.output_channels,
        )

    def stages(self) -> Sequence[Stage[Tensor]]:
        """One stage; the discriminator first, as in the release."""
        phases = tuple(
            Phase(
                name=name,
                optimizer=make_adam(network, self.options),
                losses=loss,
                learning_rate=self.options.learning_rate_factor,
            )
            for name, network, loss in (
                ("discriminator", self.discriminator, self.discriminator_losses),
                ("generator", self.model.generator, self.generator_losses),
            )
        )
        return [
            Stage(
                name="translation",
                steps=self.options.steps,
                batch_size=self.options.batch_size,
                phases=phases,
                shared=self.translate,
            )
        ]

    def translate(self, step: Step[None]) -> Tensor:
        """The generator's image for the input, used by both phases: the generator moves after the last use."""
        return self.model.generator(step.batch["input"])

    def discriminator_losses(self, step: Step[Tensor]) -> Losses:
        """Half the loss on generated pairs and half that on real ones (release), so that it learns more slowly."""
        fake = torch.cat([step.batch["input"], step.shared.detach()], dim=1)
        real = torch.cat([step.batch["input"], step.batch["target"]], dim=1)
        # Generated before real, and apart: with batch norm each pass has its own statistics and moves the running ones.
        losses = {
            "fake": 0.5 * self._objective(self.discriminator(fake), 0.0),
            "real": 0.5 * self._objective(self.discriminator(real), 1.0),
        }
        if self.options.objective == "wgangp":
            share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
            losses["penalty"] = GRADIENT_PENALTY * gradient_penalty(self.discriminator, real, fake, share)
        return losses

    def generator_losses(self, step: Step[Tensor]) -> Losses:
        """What the discriminator, just updated, says of the image, and its distance from the target (eq. 4)."""
        fake = step.shared
        logits = self.discriminator(torch.cat([step.batch["input"], fake], dim=1))
        return {
            "adversarial": self._objective(logits, 1.0),
            "l1": self.options.l1_weight * l1(fake, step.batch["target"]),
        }

    @torch.no_grad()
    def preview(self, batch: Tensors) -> Tensors:
        """Input, what each behaviour at test time makes of it, and the target."""
        image, config = batch["input"], self.model.config
        columns = {"input": image}
        translation = Translation(self.model.generator, config.dropout_shapes)
        noise = 2 * torch.rand(len(image), sum(translation.noise_sizes), device=image.device) - 1
        for index, name in enumerate(BEHAVIOURS):
            behaviour = torch.full((len(image),), index, device=image.device)
            columns[name] = translation(image, behaviour, noise if config.dropout_shapes else None)
        columns["target"] = batch["target"]
        return {title: in_colour(column) for title, column in columns.items()}


def _check(config: Config, options: Options) -> None:
    if options.discriminator == "patch" and config.image_size < (
        smallest := smallest_side(options.discriminator_layers)
    ):
        raise TrainingError(
            found=f"a patch discriminator of {options.discriminator_layers} layers and {config.image_size} pixels",
            expected=f"at least {smallest} pixels, so that its last norm has values to compare",
            fix="fewer discriminator_layers, or --set discriminator=pixel",
        )
