from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_plugin_pix2pix.trainer import (
    Options,
    Pix2PixTrainer,
)
from i2i_registry import LayoutError, Step, TrainingError
from i2i_toolkit import write_paired_example, write_unpaired_example

TINY = Config(generator="resnet", image_size=16, depth=1, channels=2)
SHALLOW = Options(discriminator_layers=1, discriminator_channels=2, enlarge_px=4)


def trainer(config: Config = TINY, **changes: object) -> Pix2PixTrainer:
    return Pix2PixTrainer(Pix2Pix(config), SHALLOW.model_copy(update=changes))


def batch(count: int = 2) -> dict[str, Tensor]:
    return {name: 2 * torch.rand(count, 3, 16, 16) - 1 for name in ("input", "target")}


def test_the_rate_of_every_phase_is_the_papers() -> None:
    (stage,) = trainer(**{name: getattr(Options(), name) for name in ("steps", "epoch_steps", "decay_share")}).stages()
    halfway = 150 * 400 + 1  # the first step of epoch 150, counted from 0: 100 epochs are constant
    assert [phase.learning_rate(halfway) for phase in stage.phases] == pytest.approx(2 * [1 - 51 / 101])


@pytest.mark.parametrize("objective", ["vanilla", "lsgan", "wgangp"])
@pytest.mark.parametrize("discriminator", ["patch", "pixel"])
def test_every_objective_has_finite_terms_that_reach_what_learns(objective: str, discriminator: str) -> None:
    built = trainer(objective=objective, discriminator=discriminator)
    images = batch()
    step = Step(number=1, batch=images, shared=built.translate(Step(1, images, None)))
    judged = built.discriminator_losses(step)
    torch.stack(list(judged.values())).sum().backward()
    assert all(bool(loss.isfinite()) for loss in judged.values())
    assert all(parameter.grad is not None for parameter in built.discriminator.parameters())
    assert all(parameter.grad is None for parameter in built.model.generator.parameters())
    torch.stack(list(built.generator_losses(step).values())).sum().backward()
    assert all(parameter.grad is not None for parameter in built.model.generator.parameters())


def test_the_generators_l1_is_weighted() -> None:
    built, images = trainer(l1_weight=7.0), batch()
    made = torch.zeros_like(images["target"])
    losses = built.generator_losses(Step(number=1, batch=images, shared=made))
    assert float(losses["l1"]) == pytest.approx(7 * float(images["target"].abs().mean()), rel=1e-6)


def test_the_preview_shows_both_behaviours() -> None:
    built = trainer(TINY.model_copy(update={"output_channels": 1}))
    images = batch()
    columns = built.preview({**images, "target": images["target"][:, :1]})
    assert list(columns) == ["input", "paper", "deterministic", "target"]
    assert {title: tuple(column.shape) for title, column in columns.items()} == {
        "input": (2, 3, 16, 16),
        "paper": (2, 1, 16, 16),
        "deterministic": (2, 1, 16, 16),
        "target": (2, 1, 16, 16),
    }


def test_images_too_small_for_the_discriminator_are_refused() -> None:
    with pytest.raises(TrainingError, match="24 pixels"):
        trainer(TINY, discriminator_layers=3)


def test_pairs_are_cropped_alike_and_turned_as_asked(tmp_path: Path) -> None:
    write_paired_example(tmp_path, size=24, count=2)
    forth = trainer().layout.open(tmp_path, seed=3).draw(0)
    back = trainer(direction="b_to_a").layout.open(tmp_path, seed=3).draw(0)
    assert forth["input"].shape == (3, 16, 16)
    assert torch.equal(forth["input"], back["target"])
    assert torch.equal(forth["target"], back["input"])


def test_an_unpaired_set_is_refused(tmp_path: Path) -> None:
    write_unpaired_example(tmp_path, size=16, count=1)
    with pytest.raises(LayoutError, match="unpaired"):
        trainer().layout.open(tmp_path, seed=0)
