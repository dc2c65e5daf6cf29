"""Official checkpoints become weights: recognised, mapped totally, compared, recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i_registry.atomic import sha256_of
from i2i_registry.cards import Imported, ImportedFile
from i2i_registry.discovery import Registry
from i2i_registry.errors import CheckpointError, UnknownName
from i2i_registry.importing import import_checkpoint, map_keys
from i2i_registry.model import Drop
from i2i_registry.store import Store
from i2i_registry.tensorfile import read_tensors
from i2i_registry.weights import open_model
from i2i_runtime.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    conv = torch.nn.Conv2d(3, 5, 1)
    path = tmp_path / "official.pth"
    torch.save(
        {"G": torch.nn.DataParallel(torch.nn.Sequential()).state_dict() | _named(conv), "D": {"w": torch.ones(2)}}, path
    )
    return path


def _named(conv: torch.nn.Conv2d) -> dict[str, torch.Tensor]:
    return {f"module.conv.{key}": value for key, value in conv.state_dict().items()}


def test_a_checkpoint_says_itself_what_it_is(registry: Registry, store: Store, file: Path) -> None:
    report = import_checkpoint(registry, store, file, "animals")
    assert report.keys.used == {"G.conv.weight": "net.conv.weight", "G.conv.bias": "net.conv.bias"}
    assert report.keys.dropped == {"D.w": "the discriminator is for training only"}
    assert report.card.config == {"width": 5, "domains": ["photo", "drawing"], "slope": 0.2}
    assert report.card.licence.non_commercial
    assert isinstance(report.card.provenance, Imported)
    assert report.card.provenance.files == (ImportedFile(name="official.pth", sha256=sha256_of(file)),)
    model, _ = open_model(registry, "animals", store)
    stored = read_tensors(store.get("animals")[1])
    torch.testing.assert_close(model.networks["net"].state_dict()["conv.weight"], stored["net.conv.weight"])


def test_domains_are_named_by_the_user(registry: Registry, store: Store, file: Path) -> None:
    report = import_checkpoint(registry, store, file, "animals", domains=("cat", "dog"))
    assert report.card.config["domains"] == ["cat", "dog"]
    with pytest.raises(UsageError, match="photo, drawing"):
        import_checkpoint(registry, store, file, "animals", domains=("one",))


def test_a_layout_is_no_proof_of_who_trained_it(registry: Registry, store: Store, file: Path) -> None:
    card = import_checkpoint(registry, store, file, "animals").card
    assert "in the layout of nobody/toy" in card.summary
    assert "in the layout of nobody/toy" in card.provenance.sentence()
    assert "official" not in f"{card.summary} {card.provenance.sentence()}".replace(file.name, "")


def test_a_checkpoint_of_another_model_is_named(registry: Registry, store: Store, tmp_path: Path) -> None:
    torch.save({"unknown.weight": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"fits no installed model; it begins with unknown\.weight"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    with pytest.raises(CheckpointError, match="is no checkpoint of toy"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x", model="toy")
    with pytest.raises(UnknownName, match="did you mean 'toy'"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x", model="tyo")
    assert store.cards() == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"G.conv.weight": torch.ones(5, 3, 1, 1)}, r"missing: net\.conv\.bias"),
        ({"G.conv.weight": torch.ones(5, 3, 3, 3), "G.conv.bias": torch.ones(5)}, "wrong shape"),
        ({"G.conv.weight": torch.ones(5, 4, 1, 1), "G.conv.bias": torch.ones(5)}, "takes no picture"),
        ({"G.conv.weight": torch.ones(5, 3, 1, 1), "surprise": torch.ones(5)}, "no rule for: surprise"),
    ],
)
def test_a_checkpoint_that_does_not_fit_stores_nothing(
    registry: Registry, store: Store, tmp_path: Path, content: dict[str, torch.Tensor], words: str
) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    assert store.cards() == ()


@pytest.mark.parametrize("name", ["Über", "a b", "../x", "toy", "x@1"])
def test_a_name_that_cannot_be_is_wrong_usage(registry: Registry, store: Store, file: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be the name|is taken"):
        import_checkpoint(registry, store, file, name)


def test_the_first_rule_that_matches_the_whole_key_wins() -> None:
    rules = ((r"a\.(\d)", r"b.\1"), (r"a\..+", Drop("rest")))
    report = map_keys(rules, {"a.1": torch.ones(1), "a.12": torch.ones(1)})
    assert (report.used, report.dropped) == ({"a.1": "b.1"}, {"a.12": "rest"})


def test_two_tensors_that_would_become_one_are_refused() -> None:
    with pytest.raises(CheckpointError, match="two tensors would become one: b"):
        map_keys(((r"a\d", "b"),), {"a1": torch.ones(1), "a2": torch.ones(1)})
