"""Official checkpoints become weights: recognised, mapped totally, compared, recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import torch

from i2i_registry.checkpoints.tensor_files import read_tensors
from i2i_registry.errors import CheckpointError, PluginError, UnknownName
from i2i_registry.importing.importer import import_checkpoint, kept_tensors
from i2i_registry.importing.naming import name_tensors, official_names
from i2i_registry.interfaces.cards import Imported, ImportedFile
from i2i_registry.interfaces.official import Drop, NameTable, rename
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.loading import open_model
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_runtime.files.regular import sha256_of

from .toy_paper import ToyConfig, ToyFormat


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
        ({"G.conv.weight": torch.ones(5, 4, 1, 1), "G.conv.bias": torch.ones(5)}, "takes no image"),
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


# --- Tensors that are no weights --------------------------------------------------------------------------------------


def with_bias(bias: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"G.conv.weight": torch.ones(len(bias), 3, 1, 1), "G.conv.bias": bias}


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        (torch.tensor([1.0, float("nan")]), r"values that are not finite: G\.conv\.bias"),
        (torch.tensor([1.0, float("inf")]), r"values that are not finite: G\.conv\.bias"),
        (torch.tensor([1.0, 1e300], dtype=torch.float64), r"values beyond the range of float32: G\.conv\.bias"),
        (torch.ones(2, dtype=torch.complex64), r"no weight: G\.conv\.bias \(complex64\)"),
        (torch.ones(2, dtype=torch.bool), r"no weight: G\.conv\.bias \(bool\)"),
        (torch.ones(2, dtype=torch.int64), r"no weight: G\.conv\.bias \(int64\)"),
        (torch.ones(2, dtype=torch.int8), r"no weight: G\.conv\.bias \(int8\)"),
        (torch.ones(0), r"tensors without values: G\.conv\.bias \[0\], G\.conv\.weight"),
    ],
)
def test_what_is_no_weight_is_refused_by_name(
    registry: Registry, store: Store, tmp_path: Path, bias: torch.Tensor, words: str
) -> None:
    torch.save(with_bias(bias), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    assert store.cards() == ()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_conversion_is_reported(registry: Registry, store: Store, tmp_path: Path, kind: torch.dtype) -> None:
    torch.save(with_bias(torch.tensor([0.5, 2.0], dtype=kind)), tmp_path / "x.pth")
    report = import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    assert report.converted == {"G.conv.bias": f"{str(kind).removeprefix('torch.')} to float32"}
    assert read_tensors(store.get("x")[1])["net.conv.bias"].tolist() == [0.5, 2.0]


def test_ranks_that_nobody_expects_are_an_error_of_ours(registry: Registry, store: Store, tmp_path: Path) -> None:
    torch.save({"G.conv.weight": torch.ones(()), "G.conv.bias": torch.ones(5)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="shapes that it never has"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    torch.save({"unknown.weight": torch.ones(()), "b": torch.ones(0, 3)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"can be no weights: b \[0, 3\], unknown\.weight \[\]"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x")


def test_claimed_sizes_take_no_memory(registry: Registry) -> None:
    """The network that a file asks for is compared with it before it is made."""
    kept = kept_tensors(registry.model_class("toy"), ToyConfig(width=10**12))
    assert kept["net.conv.weight"][0] == (10**12, 3, 1, 1)


@pytest.mark.parametrize("name", ["Über", "a b", "../x", "toy", "x@1"])
def test_a_name_that_cannot_be_is_wrong_usage(registry: Registry, store: Store, file: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be the name|is taken"):
        import_checkpoint(registry, store, file, name)


def test_the_row_for_the_longest_part_of_a_name_counts() -> None:
    table = {"a": "x", "a.b": "y.0", "c.weight": "z"}
    found = [rename(table, key) for key in ("a.c.weight", "a.b.weight", "ab.weight", "c.weight", "c.bias")]
    assert found == ["x.c.weight", "y.0.weight", None, "z", None]


class Renaming(ToyFormat):
    """A file of one network alone has bare names, and may hold an older one."""

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        return {name: f"G.{name}" if name.startswith("conv") else Drop("an older one") for name in names}

    def table(self, config: ToyConfig) -> NameTable:
        return {"G.conv": "net.conv"} if config.width == 3 else {"G": "net", "G.conv.bias": "net.conv.weight"}


def test_files_may_name_tensors_in_another_way_than_the_table() -> None:
    named = name_tensors(Renaming(), {"conv.bias": torch.ones(1), "old.bias": torch.ones(1)})
    assert (list(named.tensors), named.in_files) == (["G.conv.bias"], {"G.conv.bias": "conv.bias"})
    assert named.dropped == {"old.bias": "an older one"}


def test_two_tensors_that_would_become_one_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"two tensors would become one: G\.conv\.bias"):
        name_tensors(OneName(), {"conv.bias": torch.ones(1), "G.conv.bias": torch.ones(1)})


class OneName(ToyFormat):
    """Gives two tensors one name."""

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        return dict.fromkeys(names, "G.conv.bias")


@pytest.mark.parametrize(
    ("width", "problem"), [(3, r"has no row for net\.norm\.bias"), (4, r"has twice: G\.conv\.bias")]
)
def test_a_table_that_is_not_total_is_a_fault_of_the_plugin(width: int, problem: str) -> None:
    ours = ["net.conv.bias", "net.norm.bias"] if width == 3 else ["net.conv.weight", "net.conv.bias"]
    with pytest.raises(PluginError, match=problem):
        official_names(Renaming(), ToyConfig(width=width), ours)
