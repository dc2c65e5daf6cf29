"""The training of one stage of ConSinGAN (paper, sections 3 and 4; release for what the paper leaves open)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from i2i_plugin_consingan.config import EDITING_NOISE
from i2i_plugin_consingan.data import pyramid
from i2i_plugin_consingan.networks import Critic, Generator
from i2i_plugin_consingan.options import Options
from i2i_registry import Losses, Step, Tensors, TrainingError
from i2i_toolkit import learned, slope_penalty, wasserstein

NOISE_SCALE = 0.1
"""Noise of a stage, as a share of how far the stages before it miss the image."""

SAME_IMAGE = 0.1
"""Largest mean difference, in [-1, 1], between two copies of one image."""


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
