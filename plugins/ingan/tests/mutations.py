"""Ways to break InGAN in one place, each of which the recordings have to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tests.parity.mutating import Mutation, above
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from i2i_plugin_ingan import networks, trainer
from i2i_plugin_ingan.config import Options
from i2i_plugin_ingan.networks import critic, layers
from i2i_plugin_ingan.networks.critic import MultiScaleCritic
from i2i_plugin_ingan.networks.layers import ImageNorm, SpectralConv
from i2i_plugin_ingan.trainer import InGANTrainer, Retargeted
from i2i_registry import Losses, Stage, Step
from i2i_runtime import Shifts
from i2i_toolkit import least_squares

if TYPE_CHECKING:
    import pytest


def critic_before_generator(patch: pytest.MonkeyPatch) -> None:
    right = InGANTrainer.stages

    def wrong(self: InGANTrainer) -> list[Stage[Retargeted]]:
        return [replace(stage, phases=stage.phases[::-1]) for stage in right(self)]

    patch.setattr(InGANTrainer, "stages", wrong)


def fake_before_real(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: InGANTrainer, start: int, step: Step[Retargeted]) -> Losses:
        weights = self.scale_weights(start, step)
        image, made = self.dithered(step.batch["image"]), self.dithered(step.shared.fake.detach())
        fake, real = self.critic(made, weights), self.critic(image, weights)
        return {"real": 0.5 * least_squares(real, 1.0), "fake": 0.5 * least_squares(fake, 0.0)}

    patch.setattr(InGANTrainer, "critic_losses", wrong)


def no_dithering(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "DITHER", 0.0)


def way_back_with_the_same_shifts(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Shifts) -> Shifts:
        return self

    patch.setattr(Shifts, "reversed", wrong)


def no_way_back_alone(patch: pytest.MonkeyPatch) -> None:
    right = InGANTrainer.stages

    def wrong(self: InGANTrainer) -> list[Stage[Retargeted]]:
        return [
            replace(stage, phases=tuple(phase for phase in stage.phases if phase.name != "inverse"))
            for stage in right(self)
        ]

    patch.setattr(InGANTrainer, "stages", wrong)


def way_back_alone_first(patch: pytest.MonkeyPatch) -> None:
    right = InGANTrainer.stages

    def wrong(self: InGANTrainer) -> list[Stage[Retargeted]]:
        return [
            replace(stage, phases=tuple(sorted(stage.phases, key=lambda phase: phase.name != "inverse")))
            for stage in right(self)
        ]

    patch.setattr(InGANTrainer, "stages", wrong)


def weights_by_the_scales_of_each_image(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: MultiScaleCritic, image: Tensor, weights: Sequence[float]) -> Tensor:
        count = critic.scale_count(min(image.shape[2:]), critic.SMALLEST_TRAINED, self.step)
        return right(self, image, weights[:count])

    right = MultiScaleCritic.forward
    patch.setattr(MultiScaleCritic, "forward", wrong)


def scales_that_never_change(patch: pytest.MonkeyPatch) -> None:
    right = critic.scale_weights

    def wrong(height: int, width: int, iteration: int, balanced_at: int, step: float) -> tuple[float, ...]:
        return right(height, width, balanced_at, balanced_at, step)

    patch.setattr(trainer, "scale_weights", wrong)


def antialiased_scales(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: MultiScaleCritic, image: Tensor, scale: int) -> Tensor:
        height, width = (int(side * self.step**-scale) for side in image.shape[2:])
        return F.interpolate(image, (height, width), mode="bilinear", antialias=True)

    patch.setattr(MultiScaleCritic, "reduced", wrong)


def running_statistics(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ImageNorm, "forward", _by_running_statistics)


def _by_running_statistics(self: ImageNorm, input: Tensor) -> Tensor:  # noqa: A002
    return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, training=False)


def unbiased_variance(patch: pytest.MonkeyPatch) -> None:
    right = ImageNorm.forward

    def wrong(self: ImageNorm, input: Tensor) -> Tensor:  # noqa: A002
        count = input[0, 0].numel()
        offset = self.bias[:, None, None]
        return (right(self, input) - offset) * ((count - 1) / count) ** 0.5 + offset

    patch.setattr(ImageNorm, "forward", wrong)


def no_power_iteration(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: SpectralConv) -> Tensor:
        if self.folded:
            return self.weight
        rows = self.weight.flatten(1)
        inward = F.normalize(rows.detach().T @ self.direction, dim=0)
        return self.weight / torch.dot(self.direction, rows @ inward)

    patch.setattr(SpectralConv, "kernel", wrong)


def two_power_iterations(patch: pytest.MonkeyPatch) -> None:
    right = SpectralConv.kernel

    def wrong(self: SpectralConv) -> Tensor:
        right(self)
        return right(self)

    patch.setattr(SpectralConv, "kernel", wrong)


def zeros_around_the_enlarged_map(patch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)

    patch.setattr(networks, "conv_after_upsampling", wrong)


def activation_after_the_sum_of_a_block(patch: pytest.MonkeyPatch) -> None:
    right = networks.Bottleneck.forward

    def wrong(self: networks.Bottleneck, x: Tensor) -> Tensor:
        return F.leaky_relu(right(self, x), layers.LEAK)

    patch.setattr(networks.Bottleneck, "forward", wrong)


def skips_of_the_wrong_kind(patch: pytest.MonkeyPatch) -> None:
    """Maps kept before downsampling have the right size one level further up only: the innermost one is lost."""

    def wrong(self: networks.Generator, image: Tensor, grid: Tensor) -> Tensor:
        x = networks.transformed(self.entry(image), grid)
        for down in self.down:
            x = down(x)
        x = self.blocks(x)
        for up in reversed(self.up):
            x = up(x)
        return torch.tanh(self.to_image(networks.mirrored(x, networks.BORDER_KERNEL // 2)))

    patch.setattr(networks.Generator, "forward", wrong)


def sampling_without_end_points(patch: pytest.MonkeyPatch) -> None:
    def wrong(features: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(features, grid, padding_mode="border", align_corners=False)

    patch.setattr(networks, "transformed", wrong)


def mirrored_by_the_same_side(patch: pytest.MonkeyPatch) -> None:
    right = Shifts.mirrored

    def wrong(self: Shifts, width: int) -> tuple[int, int]:
        left, after = right(self, width)
        return after, left

    patch.setattr(Shifts, "mirrored", wrong)


def twice_the_learning_rate(patch: pytest.MonkeyPatch) -> None:
    right = Options.make_adam

    def wrong(self: Options, *learning: nn.Module) -> Adam:
        return right(self.model_copy(update={"learning_rate": 2 * self.learning_rate}), *learning)

    patch.setattr(Options, "make_adam", wrong)


def unhalved_critic_loss(patch: pytest.MonkeyPatch) -> None:
    right = InGANTrainer.critic_losses

    def wrong(self: InGANTrainer, start: int, step: Step[Retargeted]) -> Losses:
        return {name: 2 * loss for name, loss in right(self, start, step).items()}

    patch.setattr(InGANTrainer, "critic_losses", wrong)


def with_shifts(config: Mapping[str, object]) -> bool:
    """Whether borders are shifted: always somewhere in a file of the generator, which has homographies."""
    return "homographies" in config or config.get("shifts") not in (None, [0, 0])


MUTATIONS: Mapping[str, Mutation] = {
    "critic before generator": Mutation(critic_before_generator, ("train",)),
    "fake before real": Mutation(fake_before_real, ("train",)),
    "no dithering": Mutation(no_dithering, ("train",)),
    "way back with the same shifts": Mutation(way_back_with_the_same_shifts, ("train",), shows=with_shifts),
    "no way back alone": Mutation(no_way_back_alone, ("train",), shows=above("iter", 10_000, 0)),
    "way back alone first": Mutation(way_back_alone_first, ("train",), shows=above("iter", 10_000, 0)),
    "weights by the scales of each image": Mutation(weights_by_the_scales_of_each_image, ("train",)),
    "scales that never change": Mutation(scales_that_never_change, ("train",)),
    "antialiased scales": Mutation(antialiased_scales, ("critic", "train")),
    "running statistics": Mutation(running_statistics, ("critic", "generator", "train")),
    "unbiased variance": Mutation(unbiased_variance, ("critic", "generator", "train")),
    "no power iteration": Mutation(no_power_iteration, ("generator", "train")),
    "two power iterations": Mutation(two_power_iterations, ("generator", "train")),
    "zeros around the enlarged map": Mutation(zeros_around_the_enlarged_map, ("generator", "train")),
    "activation after the sum of a block": Mutation(activation_after_the_sum_of_a_block, ("generator", "train")),
    "skips of the wrong kind": Mutation(skips_of_the_wrong_kind, ("generator", "train")),
    "sampling without end points": Mutation(sampling_without_end_points, ("generator", "train")),
    "mirrored by the same side": Mutation(mirrored_by_the_same_side, ("generator", "train"), shows=with_shifts),
    "twice the learning rate": Mutation(twice_the_learning_rate, ("train",)),
    "unhalved critic loss": Mutation(unhalved_critic_loss, ("train",)),
}
