"""Ways to break ConSinGAN in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation, above
from torch import Tensor
from torch.nn import functional as F

from i2i_plugin_consingan import networks
from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.networks import Generator, applications
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_plugin_consingan.trainer import ConSinGANTrainer, Options, StageTraining
from i2i_registry import Stage

if TYPE_CHECKING:
    import pytest
    from torch.optim import Adam
    from torch.optim.optimizer import ParamsT


def generator_first(patch: pytest.MonkeyPatch) -> None:
    right = ConSinGANTrainer.stages

    def wrong(self: ConSinGANTrainer) -> list[Stage[Tensor]]:
        return [replace(stage, phases=stage.phases[::-1]) for stage in right(self)]

    patch.setattr(ConSinGANTrainer, "stages", wrong)


def one_generator_step(patch: pytest.MonkeyPatch) -> None:
    right = ConSinGANTrainer.stages

    def wrong(self: ConSinGANTrainer) -> list[Stage[Tensor]]:
        return [
            replace(stage, phases=tuple(replace(phase, repeat=1) for phase in stage.phases)) for stage in right(self)
        ]

    patch.setattr(ConSinGANTrainer, "stages", wrong)


def slope_over_the_whole_image(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: StageTraining, real: Tensor, fake: Tensor) -> Tensor:
        share = self.draw_share(real)
        slopes = self.critic.slopes(share * real + (1 - share) * fake)
        return (slopes.flatten(1).norm(dim=1) - 1).square().mean()

    patch.setattr(StageTraining, "penalty", wrong)


def slopes_that_forget_the_activation(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: networks.Activation, z: Tensor) -> Tensor:
        return torch.ones_like(z)

    patch.setattr(networks.Activation, "derivative", wrong)


def shares_the_other_way_round(patch: pytest.MonkeyPatch) -> None:
    right = StageTraining.penalty

    def wrong(self: StageTraining, real: Tensor, fake: Tensor) -> Tensor:
        return right(self, fake, real)

    patch.setattr(StageTraining, "penalty", wrong)


def one_rate_for_all_stages(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam_of

    def wrong(self: Options, parameters: ParamsT) -> Adam:
        optimizer = right(self, parameters)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate
        return optimizer

    patch.setattr(Options, "make_adam_of", wrong)


def amplitude_without_root(patch: pytest.MonkeyPatch) -> None:
    right = StageTraining.set_amplitude

    def wrong(self: StageTraining) -> None:
        right(self)
        self.generator.stages[self.number].amplitude.mul_(10).square_().div_(10)

    patch.setattr(StageTraining, "set_amplitude", wrong)


def feature_maps_by_half_pixels(patch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, height: int, width: int) -> Tensor:
        return F.interpolate(x, (height, width), mode="bicubic", align_corners=False)

    patch.setattr(networks, "enlarged", wrong)


def no_skip_around_a_stage(patch: pytest.MonkeyPatch) -> None:
    right = Generator.grow

    def wrong(self: Generator, features: Tensor | None, maps: Sequence[Tensor], first: int = 0) -> Tensor:
        for number in range(first, len(maps)):
            before, features = features, right(self, features, maps[: number + 1], number)
            if before is not None:
                features = features - enlarged(before, features.shape[-2], features.shape[-1])
        assert features is not None
        return features

    patch.setattr(Generator, "grow", wrong)


def unbiased_variance(patch: pytest.MonkeyPatch) -> None:
    right = networks.Norm.forward

    def wrong(self: networks.Norm, x: Tensor) -> Tensor:
        count = x.shape[2] * x.shape[3]
        offset = self.bias[:, None, None]
        return (right(self, x) - offset) * ((count - 1) / count) ** 0.5 + offset

    patch.setattr(networks.Norm, "forward", wrong)


def one_rule_for_all_pyramids(patch: pytest.MonkeyPatch) -> None:
    right = Config.factors.fget
    assert right is not None

    def wrong(self: Config) -> tuple[float, ...]:
        return right(self.model_copy(update={"mode": "generation"}))

    patch.setattr(Config, "factors", property(wrong))


def background_always_the_given_image(patch: pytest.MonkeyPatch) -> None:
    right = applications.Injection.composed

    def wrong(self: applications.Injection, made: Tensor, image: Tensor, mask: Tensor, background: Tensor) -> Tensor:
        return right(self, made, image, mask, torch.ones_like(background))

    patch.setattr(applications.Injection, "composed", wrong)


MUTATIONS: Mapping[str, Mutation] = {
    "generator first": Mutation(generator_first, ("train",)),
    "one generator step": Mutation(one_generator_step, ("train",), shows=above("Gsteps", 1, 3)),
    "slope over the whole image": Mutation(slope_over_the_whole_image, ("train",)),
    "slopes that forget the activation": Mutation(slopes_that_forget_the_activation, ("train",)),
    "shares the other way round": Mutation(shares_the_other_way_round, ("train",)),
    "one rate for all stages": Mutation(one_rate_for_all_stages, ("train",), shows=above("depth", 0, 0)),
    "amplitude without root": Mutation(amplitude_without_root, ("train",), shows=above("depth", 0, 0)),
    "feature maps by half pixels": Mutation(feature_maps_by_half_pixels, ("train", "generators", "injection")),
    "no skip around a stage": Mutation(
        no_skip_around_a_stage,
        ("train", "generators", "injection"),
        shows=above("depth", 0, 1),
    ),
    "unbiased variance": Mutation(unbiased_variance, ("injection",)),
    "one rule for all pyramids": Mutation(one_rule_for_all_pyramids, ("resize",), shows=above("train_stages", 3, 0)),
    "background always the given image": Mutation(background_always_the_given_image, ("injection",)),
}
