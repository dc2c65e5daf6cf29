"""Weights go into a model whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i_registry.checkpoints.tensor_files import read_tensors, write_tensors
from i2i_registry.errors import CheckpointError, StoreError, UnknownName
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.interfaces.model import Model
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.loading import load_into, open_model, save, tensors_of
from i2i_registry.weights.store import Store
from i2i_runtime.records import Record


@pytest.fixture
def model(registry: Registry) -> Model[Record]:
    model_class = registry.model_class("toy")
    return model_class(model_class.presets["default"])


def _zeroed(model: Model[Record]) -> None:
    with torch.no_grad():
        for network in model.networks.values():
            for parameter in network.parameters():
                parameter.zero_()


def test_weights_survive_the_file_bit_for_bit(model: Model[Record], tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in tensors_of(model).items()}
    save(model, tmp_path / "w.safetensors")
    _zeroed(model)
    load_into(model, tmp_path / "w.safetensors")
    torch.testing.assert_close(tensors_of(model), before, rtol=0, atol=0)
    assert sorted(before) == ["net.conv.bias", "net.conv.weight"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"net.conv.bias": None}, "missing: net.conv.bias"),
        ({"net.extra": torch.ones(1)}, "unexpected: net.extra"),
        ({"net.conv.bias": torch.ones(7)}, r"net.conv.bias is \(7,\), not \(3,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_copied(
    model: Model[Record], tmp_path: Path, change: dict[str, torch.Tensor | None], words: str
) -> None:
    changed = {**{key: value + 1 for key, value in tensors_of(model).items()}, **change}
    write_tensors({key: value for key, value in changed.items() if value is not None}, tmp_path / "w.safetensors")
    before = {key: value.clone() for key, value in tensors_of(model).items()}
    with pytest.raises(CheckpointError, match=words):
        load_into(model, tmp_path / "w.safetensors")
    torch.testing.assert_close(tensors_of(model), before, rtol=0, atol=0)


def test_a_hash_that_differs_is_refused(model: Model[Record], tmp_path: Path) -> None:
    save(model, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="sha256"):
        load_into(model, tmp_path / "w.safetensors", sha256="0" * 64)


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64])
def test_a_damaged_file_is_an_error_of_ours(model: Model[Record], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_into(model, tmp_path / "w.safetensors")


def test_tensors_that_share_memory_are_saved_apart(tmp_path: Path, model: Model[Record]) -> None:
    conv = model.networks["net"].get_submodule("conv")
    conv.register_buffer("alias", conv.get_parameter("weight").detach())
    save(model, tmp_path / "w.safetensors")
    assert "net.conv.alias" in read_tensors(tmp_path / "w.safetensors")


def test_a_name_opens_the_model_with_its_weights(
    registry: Registry, store: Store, draft: WeightsDraft, model: Model[Record]
) -> None:
    store.add(tensors_of(model), draft)
    opened, card = open_model(registry, "mine", store)
    torch.testing.assert_close(tensors_of(opened), tensors_of(model), rtol=0, atol=0)
    assert card.reference == "mine@1"
    assert not opened.networks["net"].training


def test_weights_of_a_plugin_that_is_not_installed_say_so(
    store: Store, draft: WeightsDraft, model: Model[Record]
) -> None:
    store.add(tensors_of(model), draft)
    with pytest.raises(UnknownName, match="pip install i2i-plugin"):
        open_model(Registry(), "mine", store)


def test_a_config_of_another_version_is_an_error_that_names_it(
    registry: Registry, store: Store, draft: WeightsDraft, model: Model[Record]
) -> None:
    store.add(tensors_of(model), draft.model_copy(update={"config": {"depth": 3}}))
    with pytest.raises(CheckpointError, match="i2i-plugin-toy 0"):
        open_model(registry, "mine", store)


def test_a_model_without_default_weights_says_what_there_is(
    registry: Registry, store: Store, draft: WeightsDraft, model: Model[Record]
) -> None:
    store.add(tensors_of(model), draft)
    with pytest.raises(UnknownName, match="weights: mine"):
        open_model(registry, "toy", store)


def test_writing_to_a_place_that_cannot_be_written_is_an_error_of_ours(model: Model[Record], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be written"):
        save(model, tmp_path / "file" / "w.safetensors")
