"""Ways to break SinGAN in one place, each of which the recordings have to notice."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation, above
from torch import Tensor, nn

from i2i_plugin_singan import networks, trainer
from i2i_plugin_singan.networks import Critic, Generator, Pyramid, sampling
from i2i_plugin_singan.trainer import Made, Options, SinGANTrainer
from i2i_registry import Losses, Step, Tensors
from i2i_toolkit import resample, scaled_side

if TYPE_CHECKING:
    import pytest
    from torch.optim import Adam

CUBIC = sys.modules[resample.__module__]
"""the module of the toolkit that resamples"""


def rounded_levels(patch: pytest.MonkeyPatch) -> None:
    def wrong(image: Tensor) -> Tensor:
        return (image.detach().float().add(1) / 2).clamp(0, 1).mul(255).round().double()

    patch.setattr(CUBIC, "eight_bit_levels", wrong)


def left_border_mirrored(patch: pytest.MonkeyPatch) -> None:
    right = CUBIC.bicubic_matrix

    def wrong(length: int, samples: int, factor: float, *, stretch: float, device: torch.device) -> Tensor:
        matrix = right(length, samples, factor, stretch=stretch, device=device)
        whole = right(length, max(round(length * factor), samples), factor, stretch=stretch, device=device)
        matrix[0] = whole[-1].flip(0)
        return matrix

    patch.setattr(CUBIC, "bicubic_matrix", wrong)


def noise_at_full_strength(patch: pytest.MonkeyPatch) -> None:
    right = Generator.forward

    def wrong(self: Generator, noise: Tensor, below: Tensor) -> Tensor:
        return right(self, noise / self.amplitude, below)

    patch.setattr(Generator, "forward", wrong)


def details_alone(patch: pytest.MonkeyPatch) -> None:
    right = Generator.forward

    def wrong(self: Generator, noise: Tensor, below: Tensor) -> Tensor:
        border = self.border
        return right(self, noise, below) - below[..., border:-border, border:-border]

    patch.setattr(Generator, "forward", wrong)


def start_scale_counts_itself(patch: pytest.MonkeyPatch) -> None:
    right = Pyramid.forward

    def wrong(
        self: Pyramid, noises: list[Tensor], start_scale: Tensor | None = None, anchor: Tensor | None = None
    ) -> list[Tensor]:
        return right(self, noises, None if start_scale is None else start_scale + 1, anchor)

    patch.setattr(Pyramid, "forward", wrong)


def small_images_not_stretched(patch: pytest.MonkeyPatch) -> None:
    right = sampling.enlarged

    def wrong(image: Tensor, size: tuple[int, int], factor: float, border: int) -> Tensor:
        sides = zip(image.shape[-2:], size, strict=True)
        height, width = (min(scaled_side(side, factor), wanted) for side, wanted in sides)
        missing = size[1] - width, size[0] - height
        return nn.functional.pad(right(image, (height, width), factor, border), (0, missing[0], 0, missing[1]))

    patch.setattr(networks, "enlarged", wrong)


def image_clamped(patch: pytest.MonkeyPatch) -> None:
    right = Generator.forward

    def wrong(self: Generator, noise: Tensor, below: Tensor) -> Tensor:
        return right(self, noise, below).clamp(-1, 1)

    patch.setattr(Generator, "forward", wrong)


def penalty_of_whole_images(patch: pytest.MonkeyPatch) -> None:
    def wrong(critic: Critic, real: Tensor, fake: Tensor, share: Tensor, *, per_pixel: bool) -> Tensor:
        between = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()

    patch.setattr(trainer, "gradient_penalty", wrong)


def penalty_of_the_mean_score(patch: pytest.MonkeyPatch) -> None:
    def wrong(critic: Critic, real: Tensor, fake: Tensor, share: Tensor, *, per_pixel: bool) -> Tensor:
        between = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).mean(), between, create_graph=True)
        return (gradient.norm(dim=1) - 1).square().mean()

    patch.setattr(trainer, "gradient_penalty", wrong)


def fake_before_real(patch: pytest.MonkeyPatch) -> None:
    right = SinGANTrainer.critic_losses

    def wrong(self: SinGANTrainer, scale: int, number: int, step: Step[Made]) -> Losses:
        # One more look at the image that was made, first of all: it moves the running statistics.
        self.critic(scale)(step.shared.fakes[number - 1].detach())
        return right(self, scale, number, step)

    patch.setattr(SinGANTrainer, "critic_losses", wrong)


def scales_below_in_training_mode(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: SinGANTrainer, _scale: int) -> None:
        self.pyramid.train()

    patch.setattr(SinGANTrainer, "_freeze_below", wrong)


def generator_learns_from_the_first_image(patch: pytest.MonkeyPatch) -> None:
    right = SinGANTrainer.make

    def wrong(self: SinGANTrainer, scale: int, step: Step[None]) -> Made:
        made = right(self, scale, step)
        first, *_, last = made.fakes
        return made._replace(fakes=(*made.fakes[:-1], first + 0 * last))

    patch.setattr(SinGANTrainer, "make", wrong)


def amplitude_of_squares(patch: pytest.MonkeyPatch) -> None:
    right = SinGANTrainer.begin

    def wrong(self: SinGANTrainer, scale: int, batch: Tensors) -> None:
        right(self, scale, batch)
        if scale > 0:
            self.pyramid.level(scale).amplitude.pow_(2)

    patch.setattr(SinGANTrainer, "begin", wrong)


def reconstruction_of_absolute_differences(patch: pytest.MonkeyPatch) -> None:
    right = SinGANTrainer.generator_losses

    def wrong(self: SinGANTrainer, scale: int, number: int, step: Step[Made]) -> Losses:
        losses = right(self, scale, number, step)
        return {**losses, "reconstruction": losses["reconstruction"].sqrt()}

    patch.setattr(SinGANTrainer, "generator_losses", wrong)


def twice_the_learning_rate(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam

    def wrong(self: Options, *learning: nn.Module) -> Adam:
        return right(self.model_copy(update={"learning_rate": 2 * self.learning_rate}), *learning)

    patch.setattr(Options, "make_adam", wrong)


def steep_leak(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(networks, "SLOPE", 0.01)


MUTATIONS: Mapping[str, Mutation] = {
    "rounded levels": Mutation(rounded_levels, ("resize", "pyramid", "train")),
    "left border mirrored": Mutation(left_border_mirrored, ("resize", "pyramid", "train")),
    "noise at full strength": Mutation(noise_at_full_strength, ("pyramid", "train"), shows=above("train_scale", 0, 1)),
    "details alone": Mutation(details_alone, ("pyramid", "train"), shows=above("train_scale", 0, 1)),
    "start scale counts itself": Mutation(start_scale_counts_itself, ("pyramid",)),
    "small images not stretched": Mutation(small_images_not_stretched, ("pyramid",)),
    "image clamped": Mutation(image_clamped, ("pyramid",)),
    "penalty of whole images": Mutation(penalty_of_whole_images, ("train",)),
    "penalty of the mean score": Mutation(penalty_of_the_mean_score, ("train",)),
    "fake before real": Mutation(fake_before_real, ("train",)),
    "scales below in training mode": Mutation(
        scales_below_in_training_mode, ("train",), shows=above("train_scale", 0, 1)
    ),
    "generator learns from the first image": Mutation(
        generator_learns_from_the_first_image, ("train",), shows=above("Dsteps", 1, 3)
    ),
    "amplitude of squares": Mutation(amplitude_of_squares, ("train",), shows=above("train_scale", 0, 1)),
    "reconstruction of absolute differences": Mutation(reconstruction_of_absolute_differences, ("train",)),
    "twice the learning rate": Mutation(twice_the_learning_rate, ("train",)),
    "steep leak": Mutation(steep_leak, ("pyramid", "train")),
}
