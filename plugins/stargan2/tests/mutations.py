"""Ways to break StarGAN v2 in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation
from torch import Tensor, nn
from torch.optim import Adam

from i2i_plugin_stargan2 import networks, trainer
from i2i_plugin_stargan2.networks import Generator, HighPass, face, layers
from i2i_plugin_stargan2.trainer import StarGAN2Trainer
from i2i_registry import Losses, Stage, Step
from i2i_toolkit import adaptive_instance_norm, r1_penalty

if TYPE_CHECKING:
    import pytest


def unbiased_variance(patch: pytest.MonkeyPatch) -> None:
    right = adaptive_instance_norm

    def wrong(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        pixels = x.shape[2] * x.shape[3]
        return right(x, scale * ((pixels - 1) / pixels) ** 0.5, shift)

    patch.setattr(layers, "adaptive_instance_norm", wrong)


def style_scale_around_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(norm: layers.AdaIN, x: Tensor, style: Tensor) -> Tensor:
        gamma, beta = norm.affine(style).chunk(2, dim=1)
        return adaptive_instance_norm(x, gamma, beta)

    patch.setattr(layers.AdaIN, "forward", wrong)


def upsampling_one_pixel_late(patch: pytest.MonkeyPatch) -> None:
    right = layers.upsampled_conv

    def wrong(x: Tensor, conv: nn.Conv2d) -> Tensor:
        return right(x, conv).roll(1, dims=3)

    patch.setattr(layers, "upsampled_conv", wrong)


def downsampling_one_pixel_late(patch: pytest.MonkeyPatch) -> None:
    right = layers.downsampled_conv

    def wrong(x: Tensor, conv: nn.Conv2d) -> Tensor:
        return right(x.roll(1, dims=2), conv)

    patch.setattr(layers, "downsampled_conv", wrong)


def no_variance_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layers, "HALF_POWER", 1.0)


def high_pass_multiplied(patch: pytest.MonkeyPatch) -> None:
    right = HighPass.forward

    def wrong(self: HighPass, x: Tensor) -> Tensor:
        return 2 * right(self, x)

    patch.setattr(HighPass, "forward", wrong)


def masks_exchanged(patch: pytest.MonkeyPatch) -> None:
    right = Generator.forward

    def wrong(
        self: Generator, image: Tensor, style: Tensor, whole: Tensor | None = None, inner: Tensor | None = None
    ) -> Tensor:
        return right(self, image, style, inner, whole)

    patch.setattr(Generator, "forward", wrong)


def rolled_the_other_way(patch: pytest.MonkeyPatch) -> None:
    right = face.rolled

    def wrong(plane: Tensor, down: int) -> Tensor:
        return right(plane, -down)

    patch.setattr(face, "rolled", wrong)


def faint_heat_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(face, "FAINTEST", 0.05)


def first_domain_always(patch: pytest.MonkeyPatch) -> None:
    right = networks.pick

    def wrong(values: Tensor, domain: Tensor) -> Tensor:
        return right(values, torch.zeros_like(domain))

    patch.setattr(networks, "pick", wrong)


def half_the_penalty(patch: pytest.MonkeyPatch) -> None:
    right = r1_penalty

    def wrong(logits: Tensor, images: Tensor) -> Tensor:
        return 0.5 * right(logits, images)

    patch.setattr(trainer, "r1_penalty", wrong)


def fakes_judged_in_their_old_domain(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.discriminator_losses

    def wrong(self: StarGAN2Trainer, step: Step[trainer.Shared], fake: Tensor) -> Losses:
        batch = {**step.batch, "reference_domain": step.batch["domain"]}
        return right(self, replace(step, batch=batch), fake)

    patch.setattr(StarGAN2Trainer, "discriminator_losses", wrong)


def discriminator_phases_exchanged(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.stages

    def wrong(self: StarGAN2Trainer) -> list[Stage[trainer.Shared]]:
        return [replace(s, phases=(*s.phases[1::-1], *s.phases[2:])) for s in right(self)]

    patch.setattr(StarGAN2Trainer, "stages", wrong)


def style_encoder_learns_in_the_last_phase(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "fixed_parameters", nullcontext)


def cycle_that_teaches_no_style(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.generator_losses

    def wrong(self: StarGAN2Trainer, step: Step[trainer.Shared], made: trainer.Translations) -> Losses:
        return right(self, step, made._replace(own_style=made.own_style.detach()))

    patch.setattr(StarGAN2Trainer, "generator_losses", wrong)


def different_from_the_image(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.generator_losses

    def wrong(self: StarGAN2Trainer, step: Step[trainer.Shared], made: trainer.Translations) -> Losses:
        return right(self, step, made._replace(other=step.batch["image"]))

    patch.setattr(StarGAN2Trainer, "generator_losses", wrong)


def one_rate_for_all(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.make_adam

    def wrong(self: StarGAN2Trainer, names: Sequence[str]) -> Adam:
        optimizer = right(self, names)
        for group in optimizer.param_groups:
            group["lr"] = self.options.learning_rate
        return optimizer

    patch.setattr(StarGAN2Trainer, "make_adam", wrong)


def no_weight_decay(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.make_adam

    def wrong(self: StarGAN2Trainer, names: Sequence[str]) -> Adam:
        optimizer = right(self, names)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        return optimizer

    patch.setattr(StarGAN2Trainer, "make_adam", wrong)


def forgetful_average(patch: pytest.MonkeyPatch) -> None:
    decays = dict.fromkeys(("generator", "mapping", "style_encoder"), 0.9)
    patch.setattr(StarGAN2Trainer, "ema", property(lambda _self: decays))


def diversity_fades_at_once(patch: pytest.MonkeyPatch) -> None:
    def wrong(_step: int, _steps: int) -> float:
        return 0.0

    patch.setattr(trainer, "diversity_factor", wrong)


MUTATIONS: Mapping[str, Mutation] = {
    "unbiased variance": Mutation(unbiased_variance, ("details", "nets", "train")),
    "style scale around zero": Mutation(style_scale_around_zero, ("details", "nets", "train")),
    "upsampling one pixel late": Mutation(upsampling_one_pixel_late, ("details", "nets", "train")),
    "downsampling one pixel late": Mutation(downsampling_one_pixel_late, ("details", "nets", "train")),
    "no variance kept": Mutation(no_variance_kept, ("details", "nets", "train")),
    "high-pass doubled": Mutation(high_pass_multiplied, ("details",)),
    "masks exchanged": Mutation(masks_exchanged, ("details",)),
    "rolled the other way": Mutation(rolled_the_other_way, ("fan",)),
    "faint heat kept": Mutation(faint_heat_kept, ("fan",)),
    "first domain always": Mutation(first_domain_always, ("nets", "train")),
    "half the penalty": Mutation(half_the_penalty, ("train",)),
    "fakes judged in their old domain": Mutation(fakes_judged_in_their_old_domain, ("train",)),
    "discriminator phases exchanged": Mutation(discriminator_phases_exchanged, ("train",)),
    "style encoder learns in the last phase": Mutation(style_encoder_learns_in_the_last_phase, ("train",)),
    "cycle that teaches no style": Mutation(cycle_that_teaches_no_style, ("train",)),
    "different from the image": Mutation(different_from_the_image, ("train",)),
    "one rate for all": Mutation(one_rate_for_all, ("train",)),
    "no weight decay": Mutation(no_weight_decay, ("train",)),
    "average that forgets": Mutation(forgetful_average, ("train",)),
    "diversity fades at once": Mutation(diversity_fades_at_once, ("train",)),
}
