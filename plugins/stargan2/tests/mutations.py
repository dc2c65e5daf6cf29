"""Ways to break StarGAN v2 in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Adam

from i2i_plugin_stargan2 import face, networks, trainer
from i2i_plugin_stargan2.networks import Generator, HighPass
from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer
from i2i_registry.trainer import Stage, Step, Tensors
from i2i_toolkit.losses import l1

if TYPE_CHECKING:
    import pytest


def unbiased_variance(patch: pytest.MonkeyPatch) -> None:
    right = networks.normalised

    def wrong(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        pixels = x.shape[2] * x.shape[3]
        return right(x, scale * ((pixels - 1) / pixels) ** 0.5, shift)

    patch.setattr(networks, "normalised", wrong)


def style_scale_around_zero(patch: pytest.MonkeyPatch) -> None:
    def wrong(norm: networks.AdaIN, x: Tensor, style: Tensor) -> Tensor:
        gamma, beta = norm.affine(style).chunk(2, dim=1)
        return networks.normalised(x, gamma, beta)

    patch.setattr(networks.AdaIN, "forward", wrong)


def doubling_one_pixel_late(patch: pytest.MonkeyPatch) -> None:
    right = networks.doubled_conv
    patch.setattr(networks, "doubled_conv", lambda x, conv: right(x, conv).roll(1, dims=3))


def no_variance_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(networks, "HALF_POWER", 1.0)


def high_pass_multiplied(patch: pytest.MonkeyPatch) -> None:
    right = HighPass.forward
    patch.setattr(HighPass, "forward", lambda self, x: 2 * right(self, x))


def masks_exchanged(patch: pytest.MonkeyPatch) -> None:
    right = Generator.forward
    patch.setattr(Generator, "forward", lambda self, image, style, *masks: right(self, image, style, *masks[::-1]))


def rolled_the_other_way(patch: pytest.MonkeyPatch) -> None:
    right = face.rolled
    patch.setattr(face, "rolled", lambda plane, down: right(plane, -down))


def faint_heat_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(face, "FAINTEST", 0.05)


def first_domain_always(patch: pytest.MonkeyPatch) -> None:
    right = networks.pick
    patch.setattr(networks, "pick", lambda values, domain: right(values, torch.zeros_like(domain)))


def no_penalty(patch: pytest.MonkeyPatch) -> None:
    right = trainer.r1_penalty
    patch.setattr(trainer, "r1_penalty", lambda logits, images: 0.5 * right(logits, images))


def fakes_judged_in_their_old_domain(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.discriminator_terms

    def wrong(self: StarGAN2Trainer, step: Step, fake: Tensor) -> Tensors:
        batch = {**step.batch, "reference_domain": step.batch["domain"]}
        return right(self, replace(step, batch=batch), fake)

    patch.setattr(StarGAN2Trainer, "discriminator_terms", wrong)


def generator_first(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.stages

    def wrong(self: StarGAN2Trainer) -> list[Stage]:
        return [replace(s, phases=(*s.phases[1::-1], *s.phases[2:])) for s in right(self)]

    patch.setattr(StarGAN2Trainer, "stages", wrong)


def style_encoder_learns_in_the_last_phase(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "with_fixed_parameters", lambda network, *inputs: network(*inputs))


def gradient_through_the_other_look(patch: pytest.MonkeyPatch) -> None:
    right = StarGAN2Trainer.generator_terms

    def wrong(self: StarGAN2Trainer, step: Step, fake: Tensor, other: Tensor, own: Tensor, terms: dict[str, Tensor]):
        return {**right(self, step, fake, other, own, terms), "diversity": -self.diversity_weight * 2 * l1(fake, other)}

    patch.setattr(StarGAN2Trainer, "generator_terms", wrong)


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


def no_average(patch: pytest.MonkeyPatch) -> None:
    decays = dict.fromkeys(("generator", "mapping", "style_encoder"), 0.9)
    patch.setattr(StarGAN2Trainer, "averages", property(lambda _self: decays))


def diversity_fades_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "diversity_factor", lambda _step, _steps: 0.0)


MUTATIONS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "unbiased variance": unbiased_variance,
    "style scale around zero": style_scale_around_zero,
    "doubling one pixel late": doubling_one_pixel_late,
    "no variance kept": no_variance_kept,
    "high-pass doubled": high_pass_multiplied,
    "masks exchanged": masks_exchanged,
    "rolled the other way": rolled_the_other_way,
    "faint heat kept": faint_heat_kept,
    "first domain always": first_domain_always,
    "half the penalty": no_penalty,
    "fakes judged in their old domain": fakes_judged_in_their_old_domain,
    "discriminator phases exchanged": generator_first,
    "style encoder learns in the last phase": style_encoder_learns_in_the_last_phase,
    "twice the diversity": gradient_through_the_other_look,
    "one rate for all": one_rate_for_all,
    "no weight decay": no_weight_decay,
    "average that forgets": no_average,
    "diversity fades at once": diversity_fades_at_once,
}
