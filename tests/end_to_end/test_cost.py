"""What a training will take is counted for every paper, and comes near to what was once summed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_registry import discover
from i2i_toolkit import count_work, write_single_example

BY_HAND = {
    "singan": (6.91e13, 105_480_192),
    "consingan": (1.077e14, 70_248_960),
    "ingan": (8.07e14, 139_059_200),
}
"""Model -> multiplications of its training on an image of 64x48 pixels, and bytes, summed layer by layer."""

OTHERS = ("bicyclegan", "cyclegan", "pix2pix", "stargan2", "ugatit")


@pytest.mark.parametrize("model", BY_HAND)
def test_the_count_is_near_to_the_sum_by_hand(tmp_path: Path, model: str) -> None:
    registry = discover(strict=False)
    model_class, trainer_class = registry.model_class(model), registry.trainer_class(model)
    write_single_example(tmp_path, (64, 48))
    options = trainer_class.Options()
    config = trainer_class.config_for(next(iter(model_class.presets.values())), options, tmp_path)
    trainer = trainer_class(model_class(config), options)
    work = count_work(trainer, trainer.layout.open(tmp_path, 0))
    assert work is not None
    multiplications, memory = BY_HAND[model]
    assert 0.5 < work.multiplications / multiplications < 1.2
    assert 0.5 < work.memory / memory < 3


@pytest.mark.parametrize("model", OTHERS)
def test_every_paper_can_be_counted(tmp_path: Path, model: str) -> None:
    registry = discover(strict=False)
    model_class, trainer_class = registry.model_class(model), registry.trainer_class(model)
    config = model_class.shrunk(next(iter(model_class.presets.values())))
    options = trainer_class.Options.model_validate({**trainer_class.shrunk, "steps": 1000})
    trainer = trainer_class(model_class(config), options)
    trainer.layout.write_example(tmp_path)
    work = count_work(trainer, trainer.layout.open(tmp_path, 0))
    assert work is not None
    assert work.multiplications > 1000
    assert work.memory > 0
