"""The options that papers share: learning rates against their closed forms, and what the others build."""

from __future__ import annotations

import pytest
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError
from torch import nn

from i2i_registry.errors import TrainingError
from i2i_runtime.image.resizing import BILINEAR
from i2i_toolkit import (
    Betas,
    CropOptions,
    EMAOptions,
    LinearDecay,
    Objective,
    PatchDiscriminatorOptions,
    Preparation,
    StepOptions,
    WeightDecayOptions,
    learned,
)


def test_the_rate_is_the_releases_with_its_epochs() -> None:
    options = LinearDecay(steps=200 * 7, epoch_steps=7)  # 100 epochs, and 100 that fall
    by_epoch = [options.learning_rate_factor(7 * epoch + 1) for epoch in range(200)]

    assert by_epoch == pytest.approx([1.0 - max(0, epoch + 1 - 100) / 101 for epoch in range(200)], abs=1e-12)
    assert (by_epoch[98], by_epoch[100]) == (1.0, 1.0 - 1 / 101)
    assert options.learning_rate_factor(7 * 150) == options.learning_rate_factor(7 * 150 - 6)


def test_counted_in_steps_the_line_would_reach_zero_one_step_after_the_last() -> None:
    options = LinearDecay(steps=10, decay_share=0.4)

    found = [options.learning_rate_factor(step) for step in range(1, 12)]
    assert found == pytest.approx([1.0] * 6 + [0.8, 0.6, 0.4, 0.2, 0.0])


@pytest.mark.parametrize("steps", [1400, 2801, 266_800, 266_999])
def test_unless_told_an_epoch_is_the_papers_share_of_the_steps(steps: int) -> None:
    options, told = LinearDecay(steps=steps), LinearDecay(steps=steps, epoch_steps=steps // 200)

    assert {options.learning_rate_factor(step) for step in range(1, steps + 1, steps // 200)} == {
        told.learning_rate_factor(step) for step in range(1, steps + 1, steps // 200)
    }
    assert options.learning_rate_factor(1) == 1.0
    assert options.learning_rate_factor(steps) == pytest.approx(1 / (steps // 2 // (steps // 200) + 1))


@pytest.mark.parametrize("epoch_steps", [None, 1, 7, 1334, 10**9])
@pytest.mark.parametrize("decay_share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 399, 2000, 2667, 4002, 6000])
def test_no_step_is_trained_at_a_rate_of_zero(steps: int, decay_share: float, epoch_steps: int | None) -> None:
    options = LinearDecay(steps=steps, decay_share=decay_share, epoch_steps=epoch_steps)
    rates = [options.learning_rate_factor(step) for step in range(1, steps + 1)]

    assert min(rates) > 0
    assert rates == sorted(rates, reverse=True)


def test_the_rate_may_stay() -> None:
    options = LinearDecay(steps=10, decay_share=0)

    assert {options.learning_rate_factor(step) for step in range(1, 11)} == {1.0}


@pytest.mark.parametrize("falling", range(101))
def test_a_share_is_a_number_of_steps(falling: int) -> None:
    """FastCUT's 150 epochs at one rate and 50 with a falling one, for instance; no step is lost by rounding."""
    options = LinearDecay(steps=100, decay_share=falling / 100, epoch_steps=1)

    assert sum(options.learning_rate_factor(step) < 1 for step in range(1, 101)) == falling


def test_more_decay_than_training_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        LinearDecay(steps=4, decay_share=1.25)


class Options(StepOptions, WeightDecayOptions, CropOptions, EMAOptions, PatchDiscriminatorOptions):
    """As a trainer composes them."""

    steps: PositiveInt = 7
    learning_rate: PositiveFloat = 0.5
    betas: Betas = (0.25, 0.75)
    weight_decay: NonNegativeFloat = 0.125
    objective: Objective = "lsgan"


def test_adam_learns_what_wants_a_gradient_at_the_rate_of_its_group() -> None:
    network, frozen = nn.Linear(2, 1), nn.Linear(2, 1).requires_grad_(requires_grad=False)
    optimizer = Options().make_adam(network, frozen)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.5, (0.25, 0.75), 0.125)

    groups = [{"params": learned(network), "lr": 0.25}, {"params": learned(nn.Linear(1, 1))}]
    assert [group["lr"] for group in Options().make_adam_of(groups).param_groups] == [0.25, 0.5]


def test_images_are_cropped_from_a_little_more_than_the_models_size() -> None:
    found = Options(enlarge_px=5, flip=False, preprocess="crop").preparation(64, BILINEAR)
    assert found == Preparation("crop", 69, 64, BILINEAR, flip=False)


def test_images_too_small_for_the_last_norm_are_refused_with_a_size_that_fits() -> None:
    options = Options(discriminator_layers=4)  # 48 pixels leave its last norm 2x2 values
    options.check_image_size(48, multiple=32)
    with pytest.raises(TrainingError, match="4 layers and 47 pixels") as caught:
        options.check_image_size(47, multiple=32)
    assert "--set image_size=64" in caught.value.fix
    Options(discriminator="pixel").check_image_size(1, multiple=1)
