"""Ways to break pix2pix in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation, starts
from torch import Tensor, nn

from i2i_plugin_pix2pix.trainer import Options, Pix2PixTrainer
from i2i_registry import Losses, Stage, Step
from i2i_toolkit import OBJECTIVES, BatchNorm, TestTime, UNet

if TYPE_CHECKING:
    import pytest
    from torch.optim import Adam


def generator_first(patch: pytest.MonkeyPatch) -> None:
    right = Pix2PixTrainer.stages

    def wrong(self: Pix2PixTrainer) -> list[Stage[Tensor]]:
        return [replace(stage, phases=stage.phases[::-1]) for stage in right(self)]

    patch.setattr(Pix2PixTrainer, "stages", wrong)


def real_before_fake(patch: pytest.MonkeyPatch) -> None:
    right = Pix2PixTrainer.discriminator_losses

    def wrong(self: Pix2PixTrainer, step: Step[Tensor]) -> Losses:
        swapped = Step(
            number=step.number,
            batch={**step.batch, "target": step.shared.detach()},
            shared=step.batch["target"],
        )
        losses = right(self, swapped)
        return {"fake": losses["real"], "real": losses["fake"]}

    patch.setattr(Pix2PixTrainer, "discriminator_losses", wrong)


def real_and_fake_in_one_batch(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Pix2PixTrainer, step: Step[Tensor]) -> Losses:
        images = torch.cat([step.shared.detach(), step.batch["target"]])
        pairs = torch.cat([step.batch["input"].repeat(2, 1, 1, 1), images], dim=1)
        fake, real = self.discriminator(pairs).chunk(2)
        objective = OBJECTIVES[self.options.objective]
        return {"fake": 0.5 * objective(fake, 0.0), "real": 0.5 * objective(real, 1.0)}

    patch.setattr(Pix2PixTrainer, "discriminator_losses", wrong)


def unhalved_discriminator_loss(patch: pytest.MonkeyPatch) -> None:
    right = Pix2PixTrainer.discriminator_losses

    def wrong(self: Pix2PixTrainer, step: Step[Tensor]) -> Losses:
        return {name: 2 * loss for name, loss in right(self, step).items()}

    patch.setattr(Pix2PixTrainer, "discriminator_losses", wrong)


def twice_the_learning_rate(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam

    def wrong(self: Options, *learning: nn.Module) -> Adam:
        return right(self.model_copy(update={"learning_rate": 2 * self.learning_rate}), *learning)

    patch.setattr(Options, "make_adam", wrong)


def skip_behind_what_comes_up(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: UNet, image: Tensor, test: TestTime | None = None) -> Tensor:
        x, crossing = image, list[Tensor]()
        for down in self.down:
            x = down(x, test)
            crossing.append(x)
        x = crossing.pop()
        for up in reversed(self.up):
            x = torch.cat([up(x, test), crossing.pop()], dim=1)
        return torch.tanh(self.to_image(torch.relu(x)))

    patch.setattr(UNet, "forward", wrong)


def unbiased_batch_variance(patch: pytest.MonkeyPatch) -> None:
    right = BatchNorm.forward

    def wrong(self: BatchNorm, x: Tensor, test: TestTime | None = None) -> Tensor:
        count = x.numel() // x.shape[1]
        return right(self, x, test) * (((count - 1) / count) ** 0.5 if self.training else 1.0)

    patch.setattr(BatchNorm, "forward", wrong)


MUTATIONS: Mapping[str, Mutation] = {
    "generator first": Mutation(generator_first, ("train",)),
    "real before fake": Mutation(real_before_fake, ("train",), starts("norm", "batch")),
    "real and fake in one batch": Mutation(real_and_fake_in_one_batch, ("train",), starts("norm", "batch")),
    "unhalved discriminator loss": Mutation(unhalved_discriminator_loss, ("train",)),
    "twice the learning rate": Mutation(twice_the_learning_rate, ("train",)),
    "skip behind what comes up": Mutation(skip_behind_what_comes_up, ("nets", "train"), starts("netG", "unet")),
    "unbiased batch variance": Mutation(unbiased_batch_variance, ("nets", "train"), starts("norm", "batch")),
}
