"""Ways to break BicycleGAN in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation, above, starts
from torch import Tensor
from torch.nn import functional as F

from i2i_plugin_bicyclegan import networks, trainer
from i2i_plugin_bicyclegan.networks import Encoding
from i2i_plugin_bicyclegan.trainer import BicycleGANTrainer, Pairs
from i2i_registry import Tensors
from i2i_toolkit import InstanceNorm, kl_divergence

if TYPE_CHECKING:
    import pytest


def latent_loss_teaches_the_encoder(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: BicycleGANTrainer, made: Tensor) -> Tensor:
        return self.encoder(made).mean

    patch.setattr(BicycleGANTrainer, "latent_of", wrong)


def generator_teaches_the_discriminators(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "fixed_parameters", nullcontext)


def swapped_halves(patch: pytest.MonkeyPatch) -> None:
    right = BicycleGANTrainer.pairs

    def wrong(self: BicycleGANTrainer, batch: Tensors) -> Pairs:
        pairs = right(self, batch)
        return Pairs(pairs.other_source, pairs.other_target, pairs.source, pairs.target)

    patch.setattr(BicycleGANTrainer, "pairs", wrong)


def one_real_half_for_both_discriminators(patch: pytest.MonkeyPatch) -> None:
    right = BicycleGANTrainer.pairs

    def wrong(self: BicycleGANTrainer, batch: Tensors) -> Pairs:
        pairs = right(self, batch)
        return pairs._replace(other_target=pairs.target)

    patch.setattr(BicycleGANTrainer, "pairs", wrong)


def averaged_divergence(patch: pytest.MonkeyPatch) -> None:
    right = kl_divergence

    def wrong(mean: Tensor, log_variance: Tensor) -> Tensor:
        return right(mean, log_variance) / len(mean)

    patch.setattr(trainer, "kl_divergence", wrong)


def variance_for_a_deviation(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: BicycleGANTrainer, encoding: Encoding) -> Tensor:
        return encoding.mean + self.noise(len(encoding.mean), encoding.mean) * encoding.log_variance.exp()

    patch.setattr(BicycleGANTrainer, "sampled", wrong)


def latent_before_the_features(patch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, latent: Tensor) -> Tensor:
        return torch.cat([latent[:, :, None, None].expand(-1, -1, *x.shape[2:]), x], dim=1)

    patch.setattr(networks, "with_latent", wrong)


def no_instance_norm(patch: pytest.MonkeyPatch) -> None:
    def wrong(_norm: InstanceNorm, x: Tensor) -> Tensor:
        return x

    patch.setattr(InstanceNorm, "forward", wrong)


def smaller_copies_with_counted_padding(patch: pytest.MonkeyPatch) -> None:
    right = F.avg_pool2d

    def wrong(x: Tensor, size: int, *, stride: int | None = None, padding: int = 0, **_: bool) -> Tensor:
        return right(x, size, stride, padding)

    patch.setattr(F, "avg_pool2d", wrong)


MUTATIONS: Mapping[str, Mutation] = {
    "the latent loss teaches the encoder": Mutation(latent_loss_teaches_the_encoder, ("train",)),
    "the generator's losses teach the discriminators": Mutation(generator_teaches_the_discriminators, ("train",)),
    "swapped halves": Mutation(swapped_halves, ("train",)),
    "one real half for both discriminators": Mutation(one_real_half_for_both_discriminators, ("train",)),
    "averaged divergence": Mutation(averaged_divergence, ("train",), above("batch", 2, 2)),
    "variance for a deviation": Mutation(variance_for_a_deviation, ("train",)),
    "latent before the features": Mutation(latent_before_the_features, ("nets", "train")),
    "no instance norm": Mutation(no_instance_norm, ("nets", "train"), starts("norm", "instance")),
    "smaller copies with counted padding": Mutation(
        smaller_copies_with_counted_padding, ("nets", "train"), above("num_Ds", 1, 2)
    ),
}
