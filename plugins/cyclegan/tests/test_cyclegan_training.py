from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options
from i2i_registry import Step, TrainingError
from i2i_toolkit import write_unpaired_example

TINY = Config(image_size=16, channels=2, res_blocks=1)
SHALLOW = Options(batch_size=2, discriminator_layers=1, discriminator_channels=2, pool_size=2)


def trainer(config: Config = TINY, **changes: object) -> CycleGANTrainer:
    return CycleGANTrainer(CycleGAN(config), SHALLOW.model_copy(update=changes))


def batch(seed: int = 0, count: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {domain: 2 * torch.rand(count, 3, 16, 16, generator=generator) - 1 for domain in "AB"}


def losses(built: CycleGANTrainer, images: Mapping[str, Tensor]) -> dict[str, float]:
    step = Step(number=1, batch=images, shared=None)
    found = {**built.generator_losses(step), **built.discriminator_losses(step)}
    return {name: loss.item() for name, loss in found.items()}


def test_the_rate_of_every_phase_is_the_papers() -> None:
    (stage,) = trainer(**{name: getattr(Options(), name) for name in ("steps", "epoch_steps", "decay_share")}).stages()
    halfway = 150 * 1334 + 1  # the first step of epoch 150, counted from 0: 100 epochs are constant
    assert [phase.learning_rate(halfway) for phase in stage.phases] == pytest.approx(2 * [1 - 51 / 101])


def test_without_an_identity_weight_there_is_no_identity_loss_and_the_rest_is_the_same() -> None:
    with_identity, without = trainer(), trainer(identity_weight=0.0)
    for name, network in without.all_networks.items():
        network.load_state_dict(with_identity.all_networks[name].state_dict())
    full, less = losses(with_identity, batch()), losses(without, batch())
    assert set(full) - set(less) == {"identity_A", "identity_B"}
    assert less == pytest.approx({name: full[name] for name in less}, rel=1e-5)


def test_each_domain_has_its_own_cycle_weight() -> None:
    one, other = trainer(), trainer(cycle_weight_b=30.0)
    for name, network in other.all_networks.items():
        network.load_state_dict(one.all_networks[name].state_dict())
    before, after = losses(one, batch()), losses(other, batch())
    ratio = {name: after[name] / before[name] for name in before}
    assert {name for name, value in ratio.items() if abs(value - 3) < 1e-5} == {"cycle_B", "identity_B"}
    assert all(abs(value - 1) < 1e-5 for name, value in ratio.items() if not name.endswith("e_B") and "y_B" not in name)


def test_discriminators_see_what_was_made_before_the_generators_moved() -> None:
    built = trainer(pool_size=0)
    step = Step(number=1, batch=batch(), shared=None)
    made = built.translations(step.batch)
    built.generator_losses(step)
    with torch.no_grad():
        for parameter in built.a_to_b.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(built.pools["B"].take(2), made["fake_B"].detach(), rtol=0, atol=1e-6)


def test_the_pools_are_in_the_checkpoint() -> None:
    built = trainer()
    losses(built, batch())
    again = trainer()
    for name, network in again.all_networks.items():
        network.load_state_dict(built.all_networks[name].state_dict())
    assert int(again.pools["A"].stored) == 2
    assert torch.equal(again.pools["A"].images, built.pools["A"].images)
    assert bool(again.pools["A"].images.any())


@pytest.mark.parametrize(
    ("config", "changes", "word"),
    [
        ({"directions": "a_to_b"}, {}, "way back"),
        ({"channels_b": 1}, {}, "identity"),
        ({}, {"discriminator_layers": 3}, "24 pixels"),
    ],
    ids=["one direction", "channels", "size"],
)
def test_what_cannot_be_trained_is_refused(config: dict[str, object], changes: dict[str, object], word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        trainer(TINY.model_copy(update=config), **changes)


def test_colour_to_grey_trains_without_an_identity_loss() -> None:
    built = trainer(TINY.model_copy(update={"channels_b": 1}), identity_weight=0.0)
    images = batch()
    images["B"] = images["B"][:, :1]
    assert all(math.isfinite(value) for value in losses(built, images).values())
    assert [column.shape[1] for column in built.preview(images).values()] == [3, 1, 3, 1, 3, 1]


def test_the_data_is_scaled_cropped_and_grey_as_asked(tmp_path: Path) -> None:
    write_unpaired_example(tmp_path, size=24, count=2)
    source = trainer(TINY.model_copy(update={"channels_b": 1}), identity_weight=0.0).layout.open(tmp_path, seed=3)
    sample = source.draw(0)
    assert {name: tuple(tensor.shape) for name, tensor in sample.items()} == {"A": (3, 16, 16), "B": (1, 16, 16)}
    assert source.preview(1)["B"].shape == (1, 1, 16, 16)
    assert all(torch.equal(tensor, source.draw(0)[name]) for name, tensor in sample.items())
