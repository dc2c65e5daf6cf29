"""Which networks a model and a trainer have, where they do not say so: their attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from i2i_registry.interfaces.data import DataLayout, Tensors
from i2i_registry.interfaces.trainer import Stage, Trainer
from i2i_runtime.records import Record

from .toy_paper import Toy, ToyConfig


class ToyTrainer(Trainer[Toy, Record]):
    def __init__(self, model: Toy, options: Record) -> None:
        super().__init__(model, options)
        self.net = model.net
        self.discriminator = nn.Conv2d(3, 1, 1)
        self.memory = nn.Identity()

    @property
    def layout(self) -> DataLayout:
        raise NotImplementedError

    def stages(self) -> Sequence[Stage[Any]]:
        return []

    def preview(self, batch: Tensors) -> Tensors:
        return batch


def test_a_models_networks_are_its_attributes() -> None:
    model = Toy(ToyConfig())
    assert model.networks == {"net": model.net}


def test_a_trainers_networks_are_its_attributes_but_the_models() -> None:
    trainer = ToyTrainer(Toy(ToyConfig()), Record())
    assert trainer.networks == {"discriminator": trainer.discriminator, "memory": trainer.memory}
    assert list(trainer.all_networks) == ["net", "discriminator", "memory"]
