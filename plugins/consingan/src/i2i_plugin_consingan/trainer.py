"""The training of ConSinGAN (paper, sections 3 and 4; release for what the paper leaves open).

One stage after the other, the newest ones together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from i2i_plugin_consingan.config import EDITING_NOISE, Config
from i2i_plugin_consingan.data import ImageAtScaleLayout, pyramid
from i2i_plugin_consingan.model import GENERATOR, ConSinGAN
from i2i_plugin_consingan.networks import Critic, Generator
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import Record
from i2i_toolkit import (
    AdamOptions,
    Betas,
    LearnedSize,
    SingleImageLayout,
    SingleImageOptions,
    learned,
    slope_penalty,
    wasserstein,
)

NOISE_SCALE = 0.1
"""Noise of a stage, as a share of how far the stages before it miss the image."""

SAME_IMAGE = 0.1
"""Largest mean difference, in [-1, 1], between two copies of one image."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]


class Options(AdamOptions, SingleImageOptions):
    """How it is trained. The defaults are the paper's, for variations."""

    stage_steps: PositiveInt = 2000
    """steps of every stage"""
    learning_rate: PositiveFloat = 5e-4
    """of the newest stage, the tail and the critic"""
    betas: Betas = (0.5, 0.999)
    concurrent_stages: PositiveInt = 3
    """how many of the newest stages are trained together; the older ones are frozen"""
    rate_scale: Share = 0.1
    """factor on the learning rate from a stage to the one before it; larger: closer to the image, less variety"""
    decay_after: Share = 0.8
    """share of a stage's steps after which the learning rates are a tenth"""
    critic_steps: PositiveInt = 3
    """critic updates a step, all of them with the same generated image"""
    generator_repeats: PositiveInt = 3
    """how often the generator's optimizer steps on one and the same gradient (release; not in the paper)"""
    reconstruction_weight: NonNegativeFloat = 10.0
    penalty_weight: NonNegativeFloat = 0.1
    fine_tune: bool = False
    """Train only the last stage, and those that learn with it, further from given weights (--init). With harmonization
    and editing the data are then the composite that the generator is to fit; what it is compared with is the image
    that the weights were trained on."""


class StageTraining:
    """One stage: what it is fed, what it loses, and what learns how fast.

    The newest stages learn together, each older one more slowly; what lies before them is frozen and its part of a
    pass builds no graph.
    """

    def __init__(self, generator: Generator, critic: Critic, options: Options, number: int) -> None:
        self.generator = generator
        self.critic = critic
        self.options = options
        self.config = generator.config
        self.number = number
        self.learning_from = max(0, number + 1 - options.concurrent_stages)
        self._stored_features: Tensor | None = None

    @property
    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The training image at this stage's size."""
        return self.generator.stages[self.number].image

    def generator_groups(self) -> ParamsT:
        """Whose parameters learn, and how fast (paper, section 3.2); the head only while every stage does."""
        rate, scale = self.options.learning_rate, self.options.rate_scale
        groups = [
            _group(self.generator.stages[stage].layers, rate * scale ** (self.number - stage))
            for stage in range(self.learning_from, self.number + 1)
        ]
        if self.learning_from == 0:
            groups.append(_group(self.generator.head, rate * scale**self.number))
        return [*groups, _group(self.generator.tail, rate)]

    def rate_factor(self, step: int) -> float:
        """Return a tenth of the learning rates towards the end of a stage."""
        return 1.0 if step <= self.options.decay_after * self.options.stage_steps else 0.1

    # --- The beginning ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def begin(self, batch: Tensors) -> None:
        """Start the new stage as a copy of the one before, with noise of its own, as strong as it is needed."""
        self.hand_over(batch)
        self.generator.stages[self.number].noise.copy_(self.new_stored_noise())
        if self.number > 0:
            self.set_amplitude()

    @torch.no_grad()
    def begin_fine_tuning(self, batch: Tensors) -> None:
        """Everything comes from the weights. Raises TrainingError when there are none, or they know another image."""
        if not bool(self.image.any()):
            raise TrainingError(
                found="fine_tune=true, and weights that nobody has trained",
                expected="those of a finished training",
                fix="train without it first, then: train consingan --init NAME --data COMPOSITE --set fine_tune=true",
            )
        if not self.config.injects and (self.image - batch["image"]).abs().mean() > SAME_IMAGE:
            raise TrainingError(
                found="fine_tune=true, and another image than the weights were trained on",
                expected=f"the same one, in the mode {self.config.mode!r}",
                fix="leave fine_tune away to train on this image",
            )

    def hand_over(self, batch: Tensors) -> None:
        """Take over from the stage before; the first one takes the images that all of them will learn."""
        first, *later = self.generator.stages
        if self.number > 0:
            before, new = self.generator.stages[self.number - 1 : self.number + 1]
            new.layers.load_state_dict(before.layers.state_dict())
            return
        for stage in later:
            stage.amplitude.zero_()
        for stage, image in zip((first, *later), pyramid(batch["image"], self.config), strict=True):
            stage.image.copy_(image)

    def new_stored_noise(self) -> Tensor:
        """Noise that is to give the training image; at stage 0 the image itself, but where animations need noise."""
        stage = self.generator.stages[self.number]
        if self.number > 0 or self.config.mode == "animation":
            return torch.randn_like(stage.noise)
        return self._with_editing_noise(stage.image)

    def set_amplitude(self) -> None:
        """Set it to a share of the distance that the stages before, without noise in the new one, leave."""
        amplitude = self.generator.stages[self.number].amplitude
        amplitude.zero_()
        made = self.generator(self.generator.stored(self.number + 1))
        amplitude.copy_(NOISE_SCALE * (made - self.image).square().mean().sqrt())

    # --- A step -------------------------------------------------------------------------------------------------------

    def share(self, step: Step[None]) -> Float[Tensor, "1 3 h w"]:
        """Return the generated image: the same for all critic updates, and then for the generator's."""
        return self.generator(self.draw_noise(step.batch), self.learning_from)

    def draw_noise(self, batch: Tensors) -> list[Tensor]:
        """Return what the stages are fed in this step."""
        maps = [torch.randn_like(noise) for noise in self.generator.stored(self.number + 1)]
        if self.config.injects:
            maps[0] = self._with_editing_noise(batch["coarse"])
        return maps

    def critic_losses(self, step: Step[Tensor]) -> Losses:
        """Wasserstein with gradient penalty.

        One pass for each image: what the two ask of a bias often cancels, to the bit if the sums are alike. In one
        batch a rounding error would be left, which Adam makes a whole step of.
        """
        fake = step.shared.detach()
        return {
            "real": wasserstein(self.critic(self.image), 1.0),
            "fake": wasserstein(self.critic(fake), 0.0),
            "penalty": self.options.penalty_weight * self.penalty(self.image, fake),
        }

    def penalty(self, real: Float[Tensor, "1 3 h w"], fake: Float[Tensor, "1 3 h w"]) -> Float[Tensor, ""]:
        """Squared distance from 1 of the slope at every pixel, over its channels, somewhere between two images."""
        share = self.draw_share(real)
        return slope_penalty(self.critic.slopes(share * real + (1 - share) * fake), per_pixel=True)

    def draw_share(self, like: Tensor) -> Float[Tensor, "1 1 1 1"]:
        """How much of the training image is in the image between: one number for all pixels."""
        return torch.rand(1, 1, 1, 1, dtype=like.dtype, device=like.device)

    def generator_losses(self, step: Step[Tensor]) -> Losses:
        """Return what the critic, just updated, says; and how near the stored noise comes to the training image."""
        difference = self.reconstruction().float() - self.image
        return {
            "adversarial": wasserstein(self.critic(step.shared), 1.0),
            "reconstruction": self.options.reconstruction_weight * difference.square().mean(),
        }

    def reconstruction(self) -> Float[Tensor, "1 3 h w"]:
        """Return the image that the stored noise gives. What frozen stages make of it never changes, and is kept."""
        stored, first = self.generator.stored(self.number + 1), self.learning_from
        if first > 0 and self._stored_features is None:
            with torch.no_grad():
                self._stored_features = self.generator.grow(None, stored[:first])
        return self.generator.image(self.generator.grow(self._stored_features, stored, first))

    def _with_editing_noise(self, image: Tensor) -> Tensor:
        noise = EDITING_NOISE * torch.randn_like(image) if self.config.mode == "editing" else 0.0
        return image + noise


def _group(module: nn.Module, rate: float) -> dict[str, object]:
    return {"params": learned(module), "lr": rate}


class ConSinGANTrainer(Trainer[ConSinGAN, Options]):
    """A stage of training for each of the generator; a step is some critic updates, then the generator's."""

    Options = Options
    Layout = SingleImageLayout
    shrunk: ClassVar = {"stage_steps": 5, "concurrent_stages": 2, "max_size": 40}
    """five steps a stage, the last of them at the lower rate; two stages learn together"""
    presets = MappingProxyType(
        {
            "harmonization": Options(stage_steps=1000),
            "editing": Options(stage_steps=1000),
            "quick": Options(stage_steps=500, max_size=128),
        }
    )

    def __init__(self, model: ConSinGAN, options: Options) -> None:
        super().__init__(model, options)
        self.critic = Critic(self.model.config)

    @property
    def layout(self) -> ImageAtScaleLayout:
        """The one image, at the size of the last stage."""
        config, options = self.model.config, self.options
        return ImageAtScaleLayout(
            (config.height, config.width),
            _learned_size(config, options),
            config=config,
            options=options,
            fine_tune=options.fine_tune,
        )

    def stages(self) -> Sequence[Stage[Tensor]]:
        """All of them; in fine-tuning the last one."""
        numbers = range(self.model.config.stages)
        return [self._stage(self.stage_training(number)) for number in numbers[-1 if self.options.fine_tune else 0 :]]

    def stage_training(self, number: int) -> StageTraining:
        """Return what one stage computes."""
        return StageTraining(self.model.generator, self.critic, self.options, number)

    def _stage(self, training: StageTraining) -> Stage[Tensor]:
        options = self.options
        critic = options.make_adam(self.critic)
        updates = [
            Phase(
                name=f"critic_{number}",
                optimizer=critic,
                losses=training.critic_losses,
                learning_rate=training.rate_factor,
            )
            for number in range(1, options.critic_steps + 1)
        ]
        generator = Phase(
            name=GENERATOR,
            optimizer=options.make_adam_of(training.generator_groups()),
            losses=training.generator_losses,
            learning_rate=training.rate_factor,
            repeat=options.generator_repeats,
        )
        return Stage(
            name=f"stage_{training.number}",
            steps=options.stage_steps,
            batch_size=1,
            phases=(*updates, generator),
            shared=training.share,
            begin=training.begin_fine_tuning if options.fine_tune else training.begin,
        )

    def preview(self, batch: Tensors) -> Tensors:
        """Return the image, what the stored noise makes of it, and two results; all at the image's size."""
        generator, config = self.model.generator, self.model.config
        stored = generator.stored(config.stages)
        columns = {"image": batch["image"], "reconstruction": generator.finished(stored)}
        if config.injects:
            fed = enlarged(batch["coarse"], config.height, config.width)
            return {**columns, "fed to stage 0": fed, "result": generator.finished([batch["coarse"], *stored[1:]])}
        samples = {
            f"sample {number}": generator.finished([torch.randn_like(noise) for noise in stored]) for number in (1, 2)
        }
        return columns | samples

    @classmethod
    def config_for(cls, config: Record, options: Options, root: Path) -> Record:
        """Height and width of the image as it is learned. Raises LayoutError for one smaller than stage 0."""
        return _learned_size(Config.model_validate(config), options).complete(config, root)


def _learned_size(config: Config, options: Options) -> LearnedSize:
    return LearnedSize(options.reduced, config.coarsest, "coarsest")
