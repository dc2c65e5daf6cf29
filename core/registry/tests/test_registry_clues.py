"""What tensors do not show is read from what lies beside them, or told as taken for granted; nothing of it is run."""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i_registry.errors import UnknownName
from i2i_registry.importing import clues as clues_module
from i2i_registry.importing.clues import find_objects, gather_clues, parse_options
from i2i_registry.importing.files import find_files, read_checkpoint_files
from i2i_registry.importing.importer import ImportReport, import_checkpoint
from i2i_registry.interfaces.cards import Imported, ImportedFile
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.store import Store
from i2i_runtime.errors import OptionError
from i2i_runtime.files.regular import sha256_of

from .conftest import Cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release's folder: one network; what its tensors do not show is a slope."""
    place = tmp_path / "run"
    place.mkdir()
    torch.save({f"conv.{key}": value for key, value in nn.Conv2d(3, 5, 1).state_dict().items()}, place / "a_net_G.pth")
    return place


def imported(registry: Registry, store: Store, folder: Path, *values: str) -> ImportReport:
    return import_checkpoint(registry, store, {"G": folder / "a_net_G.pth"}, "animals", values=values)


# --- Who is asked -----------------------------------------------------------------------------------------------------


def test_what_nobody_says_is_taken_for_granted_and_kept(registry: Registry, store: Store, folder: Path) -> None:
    report = imported(registry, store, folder)
    assert report.settled[0].sentence() == "taken for granted: slope = 0.2 (tensors do not show it)"
    assert report.settled[1].sentence().startswith("taken for granted: domains = photo, drawing")
    origin = store.find("animals").provenance
    assert isinstance(origin, Imported)
    assert [each.sentence() for each in origin.settled] == [each.sentence() for each in report.settled]
    assert origin.beside == ()


def test_the_option_file_says_it_and_is_kept_by_its_hash(registry: Registry, store: Store, folder: Path) -> None:
    (folder / "opt.txt").write_text(
        "--- Options ---\n      slope: 0.05        \t[default: 0.2]\n  ngf: 5\n--- End ---\n"
    )
    report = imported(registry, store, folder)
    assert report.card.config["slope"] == 0.05
    assert report.settled[0].sentence() == "slope = 0.05 (opt.txt: slope = 0.05)"
    origin = report.card.provenance
    assert isinstance(origin, Imported)
    assert origin.beside == (ImportedFile(name="opt.txt", sha256=sha256_of(folder / "opt.txt")),)


def test_the_options_of_another_training_are_not_believed(registry: Registry, store: Store, folder: Path) -> None:
    (folder / "opt.txt").write_text("slope: 0.05\nngf: 64\n")
    report = imported(registry, store, folder)
    assert report.card.config["slope"] == 0.2
    assert report.remarks == ("opt.txt not used: ngf = 64 there, and the tensors show another",)


def test_of_two_option_files_the_more_telling_counts_and_the_other_is_told(
    registry: Registry, store: Store, folder: Path
) -> None:
    (folder / "opt.txt").write_text("slope: 0.05\n")
    (folder / "train_opt.txt").write_text("slope: 0.1\n")
    report = imported(registry, store, folder)
    assert report.card.config["slope"] == 0.1
    assert report.remarks == ("not used: opt.txt: slope = 0.05 (against train_opt.txt: slope = 0.1)",)


# --- What the user sets -----------------------------------------------------------------------------------------------


def test_the_user_has_the_last_word_on_what_tensors_do_not_show(registry: Registry, store: Store, folder: Path) -> None:
    (folder / "opt.txt").write_text("slope: 0.05\n")
    report = imported(registry, store, folder, "slope=0.3", "width=5", "domains=cat,dog")
    assert report.card.config == {"width": 5, "domains": ["cat", "dog"], "slope": 0.3}
    assert report.settled[0].sentence() == "slope = 0.3 (--set slope)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("width=7", "--set width=7 contradicts the tensors, which show width = 5"),
        ("slope=-1", "slope = '-1'"),
        ("slope", "--set slope"),
        ("domains=one", "domains = 'one'"),
    ],
)
def test_what_the_tensors_contradict_or_no_config_allows_is_refused(
    registry: Registry, store: Store, folder: Path, value: str, words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        imported(registry, store, folder, value)
    assert store.cards() == ()


def test_a_field_that_is_none_is_told_with_the_nearest(registry: Registry, store: Store, folder: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'slope'"):
        imported(registry, store, folder, "slop=0.1")


# --- Option files are read as text, and bounded -----------------------------------------------------------------------


def test_both_forms_of_option_files_are_read_and_everything_else_is_passed_over() -> None:
    text = (
        "----- Options -----\n               batch_size: 2      \t[default: 1]\n   suffix:          \n"
        "url: http://a:b\nlrelu_alpha\t-\t0.05\nlr\t-\t5e-05\n"
        "!!python/object/apply:os.system [x]\n  __import__('os'): 1\nlr = 2\n" + "x" * 100 + ": 1\n"
    )
    assert parse_options(text) == {
        "batch_size": "2",
        "suffix": "",
        "url": "http://a:b",
        "lrelu_alpha": "0.05",
        "lr": "5e-05",
    }


def test_nothing_but_a_small_plain_file_is_an_option_file(
    registry: Registry, store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("slope: 0.05\n")
    (folder / "opt.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "train_opt.txt").mkdir()
    assert imported(registry, store, folder).card.config["slope"] == 0.2
    (folder / "train_opt.txt").rmdir()
    (folder / "train_opt.txt").write_bytes(b"slope: 0.05\n\xff\xfe" + b"x" * 100)
    assert imported(registry, store, folder).card.config["slope"] == 0.05
    monkeypatch.setattr(clues_module, "MOST_OPTION_BYTES", 50)
    assert imported(registry, store, folder).card.config["slope"] == 0.2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_is_not_opened(registry: Registry, store: Store, folder: Path) -> None:
    os.mkfifo(folder / "opt.txt")
    assert imported(registry, store, folder).card.config["slope"] == 0.2


def test_no_text_is_too_odd_for_an_option_file() -> None:
    generator = random.Random(0)  # noqa: S311 - the same odd texts every time
    text = "----\n   slope: 0.05\t[default: 0.2]\nlrelu_alpha\t-\t0.05\n"
    for _ in range(500):
        odd = list(text)
        for _ in range(generator.randrange(1, 8)):
            odd[generator.randrange(len(odd))] = chr(generator.choice((0, 9, 10, 27, 58, 0x202E, 0xFFFD, 0x1F600)))
        found = parse_options("".join(odd))
        assert all(value.isprintable() for value in found.values())


# --- On the command line ----------------------------------------------------------------------------------------------


def test_what_is_taken_for_granted_is_shown_set_and_shown_again(
    cli: Cli, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"G={folder / 'a_net_G.pth'}"
    assert cli("import", place, "--as", "animals") == 0
    assert "taken for granted: slope = 0.2 (tensors do not show it)" in capsys.readouterr().err
    assert cli("info", "animals") == 0
    assert "taken for granted: slope = 0.2 (tensors do not show it)" in capsys.readouterr().out
    assert cli("import", place, "--as", "animals", "--set", "slope=0.3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["settled"][0] == {"field": "slope", "value": 0.3, "by": "--set slope"}
    assert (report["card"]["version"], report["card"]["config"]["slope"]) == (2, 0.3)
    assert cli("import", place, "--as", "animals", "--set", "width=7") == 2
    assert "contradicts the tensors" in capsys.readouterr().err


# --- What was pickled with the tensors --------------------------------------------------------------------------------


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, 5, 1), nn.LeakyReLU(0.05))
        self.opt = argparse.Namespace(nl="elu", nz=8, callback=torch.device("cpu"), names=["a"])


def test_pickled_modules_and_options_are_seen_as_plain_values(tmp_path: Path) -> None:
    torch.save({"nets": [Whole()]}, tmp_path / "G.pth")
    found = gather_clues(read_checkpoint_files(find_files([f"G={tmp_path / 'G.pth'}"])), (), {})
    (part,) = found.parts_at(r"G\.nets\.0\.head\.1")
    assert part.kind == "torch.nn.modules.activation.LeakyReLU"
    assert part.values["negative_slope"] == 0.05
    assert [(options.where, dict(options.values)) for options in found.options] == [
        ("G.pth's options", {"nl": "elu", "nz": "8"})
    ]
    assert found.folder == tmp_path.name


def test_what_is_shared_a_million_million_times_is_looked_at_once() -> None:
    loop: list[object] = []
    loop.append(loop)
    shared: list[object] = [loop]
    for _ in range(40):
        shared = [shared, shared]
    assert list(find_objects({"loop": loop, "shared": shared})) == []
