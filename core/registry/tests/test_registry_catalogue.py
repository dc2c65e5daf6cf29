"""The curated catalogue, plugins' weights and the store are one list."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from i2i_registry.checkpoints.tensor_files import write_tensors
from i2i_registry.errors import StoreError, UnknownName
from i2i_registry.interfaces.cards import WeightsCard, WeightsDraft
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue, curated_file, local_path, read_curated
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_runtime.files.regular import sha256_of

TENSORS = {"net.conv.weight": torch.ones(3, 3, 1, 1), "net.conv.bias": torch.ones(3)}
ENTRY = """
[[papers]]
model = "funit"
title = "FUNIT"
plugin = "i2i-plugin-funit"

[[weights]]
name = "shipped"
model = "toy"
config = {{width = 3}}
sha256 = "{sha256}"
size = {size}
plugin = "i2i-plugin-toy 0"
locations = ["package:shipping_package/w.safetensors"]
default = true
licence = {{spdx = "CC0-1.0"}}
provenance = {{kind = "trained", data = "d", command = "c", seed = 0, steps = 1}}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with weights in it, which must not be imported to find them."""
    folder = tmp_path / "site" / "shipping_package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    write_tensors(TENSORS, folder / "w.safetensors")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


@pytest.fixture
def file(package: Path, tmp_path: Path) -> Path:
    path = tmp_path / "registry.toml"
    weights = package / "w.safetensors"
    path.write_text(ENTRY.format(sha256=sha256_of(weights), size=weights.stat().st_size))
    return path


@pytest.fixture
def catalogue(registry: Registry, store: Store, file: Path) -> Catalogue:
    return Catalogue.gather(registry, store, file)


def test_a_model_name_means_its_default_weights_found_without_importing(catalogue: Catalogue, package: Path) -> None:
    card = catalogue.find("toy")
    assert card.name == "shipped"
    assert catalogue.path_of(card) == package / "w.safetensors"
    assert "shipping_package" not in sys.modules


def test_a_shipped_file_that_was_exchanged_is_refused(catalogue: Catalogue, package: Path) -> None:
    write_tensors({"x": torch.zeros(3)}, package / "w.safetensors")
    with pytest.raises(StoreError, match=r"sha256.*\n.*\n.*--force-reinstall i2i-plugin-toy"):
        catalogue.path_of(catalogue.find("shipped"))


def test_local_weights_stand_beside_those_that_ship(catalogue: Catalogue, store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft, alias="best")
    assert [(entry.card.name, entry.place) for entry in catalogue.entries] == [
        ("mine", "store"),
        ("shipped", "catalogue"),
    ]
    assert catalogue.find("mine@best").name == "mine"


def test_the_same_weights_from_two_places_are_one_entry(registry: Registry, store: Store, file: Path) -> None:
    card = read_curated(file).weights[0].model_copy(update={"locations": ("/elsewhere.safetensors",)})
    twice = Registry(models=registry.models, weights={card.name: card})
    (entry,) = Catalogue.gather(twice, store, file).entries
    assert entry.card.locations == ("package:shipping_package/w.safetensors", "/elsewhere.safetensors")


def test_one_name_for_different_bytes_is_reported(registry: Registry, store: Store, file: Path) -> None:
    card: WeightsCard = read_curated(file).weights[0].model_copy(update={"sha256": "1" * 64})
    catalogue = Catalogue.gather(Registry(models=registry.models, weights={card.name: card}), store, file)
    assert catalogue.conflicts() == ("shipped@1 is one thing in the catalogue, another in the plugin",)
    assert catalogue.find("shipped").sha256 != "1" * 64


def test_a_paper_that_is_not_installed_says_how(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownName, match="pip install i2i-plugin-funit"):
        catalogue.find("funit")
    assert [paper.model for paper in catalogue.available()] == ["funit"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shiped", "did you mean 'shipped'"),
        ("SHIPPED", "did you mean 'shipped'"),
        ("shipped@3", "no version"),
        ("toy@1", r"'toy' is a model, and has no version '1'[\s\S]*shipped@1"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(catalogue: Catalogue, name: str, words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        catalogue.find(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[weights]", "registry.toml"),
        ("[[weights]]\nname = 'x'", "weights.0.model"),
        ("surprise = 1", "surprise"),
        (ENTRY.format(sha256="0" * 64, size=1) + ENTRY.format(sha256="0" * 64, size=1), "shipped@1 is there twice"),
    ],
)
def test_a_damaged_catalogue_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "registry.toml").write_text(text)
    with pytest.raises(StoreError, match=words):
        read_curated(tmp_path / "registry.toml")


@pytest.mark.parametrize("location", ["package:json/../x", "package:../x", "package:a.b/x"])
def test_a_location_cannot_leave_its_package(location: str) -> None:
    with pytest.raises(StoreError, match="leaves its package"):
        local_path(location)


def test_places_that_are_not_on_this_machine_are_no_path() -> None:
    assert local_path("https://example.org/w.safetensors") is None
    assert local_path("package:no_such_package_here/w.safetensors") is None


def test_the_catalogue_that_ships_is_valid() -> None:
    assert "ugatit" in {paper.model for paper in read_curated(curated_file()).papers}


OTHER = {"net.conv.weight": torch.zeros(3, 3, 1, 1), "net.conv.bias": torch.zeros(3)}


def test_own_weights_stand_before_what_ships(catalogue: Catalogue, store: Store, draft: WeightsDraft) -> None:
    """Somebody had weights of that name before the plugin brought some, newer ones even."""
    mine = store.add(OTHER, draft.model_copy(update={"name": "shipped"}), alias="best")
    fresh = Catalogue(catalogue.registry, store, catalogue.curated)
    for reference in ("shipped", "shipped@1", "shipped@best"):
        assert fresh.find(reference) == mine
    assert [entry.place for entry in fresh.entries] == ["store"]
    assert fresh.hidden() == ("shipped",)
    # The model's default is still what ships, found by its hash and not by the name.
    assert fresh.find("toy").sha256 != mine.sha256
    store.rename("shipped", "mine-now")
    after = Catalogue(catalogue.registry, store, catalogue.curated)
    assert (after.hidden(), after.find("mine-now@best").sha256) == ((), mine.sha256)
    assert after.find("shipped").sha256 != mine.sha256


def test_own_weights_stand_before_a_model_of_their_name(
    catalogue: Catalogue, store: Store, draft: WeightsDraft
) -> None:
    mine = store.add(OTHER, draft.model_copy(update={"name": "toy"}))
    fresh = Catalogue(catalogue.registry, store, catalogue.curated)
    assert (fresh.find("toy"), fresh.hidden()) == (mine, ("toy",))


def test_damaged_own_weights_are_told_and_not_replaced(catalogue: Catalogue, store: Store, draft: WeightsDraft) -> None:
    store.add(OTHER, draft.model_copy(update={"name": "shipped"}))
    (store.root / "cards/shipped/1.json").write_text('{"version": "x"}')
    with pytest.raises(StoreError, match=r"1\.json cannot be read: name: Field required"):
        Catalogue(catalogue.registry, store, catalogue.curated).find("shipped")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("toy", "it names a model"),
        ("funit", "it names a model"),  # one that is not installed yet
        ("shipped", "it names weights that ship"),
        ("mine", "it names your weights of toy"),
        ("Mine", "cannot be the name"),
        ("../x", "cannot be the name"),
        ("mine@2", "cannot be the name"),
        ("x" * 65, "cannot be the name"),
        ("", "cannot be the name"),
        ("caf\u00e9\x1b[31m", "cannot be the name"),
    ],
)
def test_a_new_name_is_refused_before_the_work_and_the_fix_works(
    catalogue: Catalogue, store: Store, draft: WeightsDraft, name: str, words: str
) -> None:
    store.add(TENSORS, draft)
    fresh = Catalogue(catalogue.registry, store, catalogue.curated)
    with pytest.raises(UsageError, match=words) as caught:
        fresh.check_name(name, "another")
    fresh.check_name(caught.value.fix.removeprefix("choose another: --as "), "another")


def test_a_next_version_has_the_name_of_the_first(catalogue: Catalogue, store: Store, draft: WeightsDraft) -> None:
    store.add(TENSORS, draft)
    Catalogue(catalogue.registry, store, catalogue.curated).check_name("mine", "toy")
    with pytest.raises(StoreError, match="it names your weights of toy"):
        store.add(OTHER, draft.model_copy(update={"model": "another"}))
