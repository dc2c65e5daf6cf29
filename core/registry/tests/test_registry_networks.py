"""Which networks a model and a trainer have, where they do not say so: their attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from torch import nn

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.data import DataLayout, Tensors
from i2i_registry.interfaces.trainer import Stage, Trainer
from i2i_runtime.records import Record

from .toy_paper import Toy, ToyConfig


class ToyOptions(Record):
    ema_decay: float = 0.0


class TwoWay(Toy):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.generators = {"a_to_b": nn.Conv2d(3, 3, 1), "b_to_a": nn.Conv2d(3, 3, 1)}
        self.names = {"a_to_b": "no network"}


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


def test_a_models_networks_in_a_dictionary_go_by_their_keys() -> None:
    model = TwoWay(ToyConfig())
    assert model.networks == {"net": model.net, **model.generators}


def test_two_networks_of_one_name_are_refused() -> None:
    model = TwoWay(ToyConfig())
    model.generators["net"] = nn.Conv2d(3, 3, 1)
    with pytest.raises(PluginError, match=r"TwoWay has two networks named 'net', one of them in 'generators'"):
        _ = model.networks


def test_a_trainers_networks_are_its_attributes_but_the_models() -> None:
    trainer = ToyTrainer(Toy(ToyConfig()), Record())
    assert trainer.networks == {"discriminator": trainer.discriminator, "memory": trainer.memory}
    assert list(trainer.all_networks) == ["net", "discriminator", "memory"]


def test_the_options_say_how_the_models_networks_are_averaged() -> None:
    model = TwoWay(ToyConfig())
    model.net.requires_grad_(requires_grad=False)  # as a pretrained network that is only used
    assert ToyTrainer(model, ToyOptions(ema_decay=0.9)).ema == {"a_to_b": 0.9, "b_to_a": 0.9}


@pytest.mark.parametrize("options", [Record(), ToyOptions()])
def test_nothing_is_averaged_unless_the_options_say_so(options: Record) -> None:
    assert ToyTrainer(TwoWay(ToyConfig()), options).ema == {}
