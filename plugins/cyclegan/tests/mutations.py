"""Ways to break CycleGAN in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.parity.mutating import Mutation, starts
from torch import Tensor, nn

from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options
from i2i_registry import Losses, Stage, Step
from i2i_toolkit import ImagePool, InstanceNorm, ResidualBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from torch.optim import Adam


def discriminators_first(patch: pytest.MonkeyPatch) -> None:
    right = CycleGANTrainer.stages

    def wrong(self: CycleGANTrainer) -> list[Stage[None]]:
        # The pools must have something to give.
        for pool in self.pools.values():
            pool.queued.fill_(len(pool.queue))
        return [replace(stage, phases=stage.phases[::-1]) for stage in right(self)]

    patch.setattr(CycleGANTrainer, "stages", wrong)


def swapped_cycle_weights(patch: pytest.MonkeyPatch) -> None:
    right = CycleGANTrainer.generator_losses

    def wrong(self: CycleGANTrainer, step: Step[None]) -> Losses:
        losses = dict(right(self, step))
        return losses | {"cycle_A": losses["cycle_B"], "cycle_B": losses["cycle_A"]}

    patch.setattr(CycleGANTrainer, "generator_losses", wrong)


def unhalved_discriminator_loss(patch: pytest.MonkeyPatch) -> None:
    right = CycleGANTrainer.discriminator_losses

    def wrong(self: CycleGANTrainer, step: Step[None]) -> Losses:
        return {name: 2 * loss for name, loss in right(self, step).items()}

    patch.setattr(CycleGANTrainer, "discriminator_losses", wrong)


def twice_the_learning_rate(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam

    def wrong(self: Options, *learning: nn.Module) -> Adam:
        return right(self.model_copy(update={"learning_rate": 2 * self.learning_rate}), *learning)

    patch.setattr(Options, "make_adam", wrong)


def no_instance_norm(patch: pytest.MonkeyPatch) -> None:
    def wrong(_norm: InstanceNorm, x: Tensor) -> Tensor:
        return x

    patch.setattr(InstanceNorm, "forward", wrong)


def no_residual(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: ResidualBlock, x: Tensor) -> Tensor:
        return self.conv_block(x)

    patch.setattr(ResidualBlock, "forward", wrong)


def a_pool_that_forgets(patch: pytest.MonkeyPatch) -> None:
    def wrong(_pool: ImagePool, images: Tensor, _slots: Iterator[int | None] | None = None) -> Tensor:
        return images

    patch.setattr(ImagePool, "exchange", wrong)


MUTATIONS: Mapping[str, Mutation] = {
    "discriminators first": Mutation(discriminators_first, ("train",)),
    "swapped cycle weights": Mutation(swapped_cycle_weights, ("train",)),
    "unhalved discriminator loss": Mutation(unhalved_discriminator_loss, ("train",)),
    "twice the learning rate": Mutation(twice_the_learning_rate, ("train",)),
    "no instance norm": Mutation(no_instance_norm, ("nets", "train"), starts("norm", "instance")),
    "no residual": Mutation(no_residual, ("nets", "train"), starts("netG", "resnet")),
    "a pool that forgets": Mutation(a_pool_that_forgets, ("pool",)),
}
