"""Ways to break U-GAT-IT in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from tests.parity.mutating import Mutation
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from i2i_plugin_ugatit import networks, trainer
from i2i_plugin_ugatit.trainer import Options, Translations, UGATITTrainer
from i2i_registry import Losses, Stage, Step
from i2i_toolkit import InstanceNorm, logistic

if TYPE_CHECKING:
    import pytest


def biased_variance(patch: pytest.MonkeyPatch) -> None:
    right = networks.layer_and_instance_statistics

    def wrong(x: Tensor) -> networks.Statistics:
        pixels = x.shape[2] * x.shape[3]
        found = right(x)
        return found._replace(instance_scale=found.instance_scale * (pixels / (pixels - 1)) ** 0.5)

    patch.setattr(networks, "layer_and_instance_statistics", wrong)


def normalised_attention_weight(patch: pytest.MonkeyPatch) -> None:
    def wrong(head: nn.Linear) -> Tensor:
        if isinstance(head, networks.SpectralLinear):
            return head.weight / torch.dot(head.spectral.u, head.weight @ head.spectral.v)
        return head.weight

    patch.setattr(networks, "attention_weight", wrong)


def u_before_v(patch: pytest.MonkeyPatch) -> None:
    def wrong(norm: networks.SpectralNorm, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        if norm.training:
            norm.u.copy_(F.normalize(matrix.detach() @ norm.v, dim=0))
            norm.v.copy_(F.normalize(matrix.detach().T @ norm.u, dim=0))
        return torch.dot(norm.u.clone(), matrix @ norm.v.clone())

    patch.setattr(networks.SpectralNorm, "forward", wrong)


def one_more_power_iteration(patch: pytest.MonkeyPatch) -> None:
    right = UGATITTrainer.discriminator_losses

    def wrong(self: UGATITTrainer, step: Step[Translations]) -> Losses:
        for name, discriminator in self.discriminators.items():
            discriminator(step.shared[name[-1].upper()].fake)
        return right(self, step)

    patch.setattr(UGATITTrainer, "discriminator_losses", wrong)


def generators_first(patch: pytest.MonkeyPatch) -> None:
    right = UGATITTrainer.stages

    def wrong(self: UGATITTrainer) -> list[Stage[Translations]]:
        return [replace(stage, phases=stage.phases[::-1]) for stage in right(self)]

    patch.setattr(UGATITTrainer, "stages", wrong)


def no_clamp_of_rho(patch: pytest.MonkeyPatch) -> None:
    def wrong(_generator: nn.Module) -> None:
        pass

    patch.setattr(trainer, "clamp_rho", wrong)


def no_weight_decay(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam

    def wrong(self: Options, *learning: nn.Module) -> Adam:
        return right(self.model_copy(update={"weight_decay": 0.0}), *learning)

    patch.setattr(Options, "make_adam", wrong)


def attention_heads_with_one_target(patch: pytest.MonkeyPatch) -> None:
    def wrong(logits: Tensor, _target: float) -> Tensor:
        return logistic(logits, 1.0)

    patch.setattr(trainer, "logistic", wrong)


def no_instance_norm(patch: pytest.MonkeyPatch) -> None:
    def wrong(_norm: InstanceNorm, x: Tensor) -> Tensor:
        return x

    patch.setattr(InstanceNorm, "forward", wrong)


def judges(config: Mapping[str, object]) -> bool:
    """Whether there is a discriminator."""
    return any(str(name).startswith("dis") for name in cast("list[object]", config.get("nets", [])))


MUTATIONS: Mapping[str, Mutation] = {
    "biased variance": Mutation(biased_variance, ("nets", "train")),
    "normalised attention weight": Mutation(normalised_attention_weight, ("nets", "train"), shows=judges),
    "u before v": Mutation(u_before_v, ("train",)),
    "one more power iteration": Mutation(one_more_power_iteration, ("train",)),
    "generators first": Mutation(generators_first, ("train",)),
    "no clamp of rho": Mutation(no_clamp_of_rho, ("train",)),
    "no weight decay": Mutation(no_weight_decay, ("train",)),
    "attention heads with one target": Mutation(attention_heads_with_one_target, ("train",)),
    "no instance norm": Mutation(no_instance_norm, ("nets", "train")),
}
