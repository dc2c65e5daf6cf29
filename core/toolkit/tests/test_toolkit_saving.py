"""What a run has learned can be used before it is finished: in real runs of the toy that are stopped."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toolkit_toy import KILL, toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.weights.loading import open_model
from i2i_registry.weights.store import Store
from i2i_toolkit.training.run_folder import RunFolder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    write_data(tmp_path / "data")
    return tmp_path


def program(home: Path, *arguments: str) -> int:
    return run_program(list(arguments), Session(toy_registry(), Store(home / "store")))


def train(home: Path, *more: str) -> int:
    out = ["--data", str(home / "data"), "--out", str(home / "run"), "--as", "painted"]
    return program(home, "train", "toy", *out, "--threads", "1", "--sample-every", "0", *more)


def stop(home: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KILL, f"{place}/SIGTERM")
    assert train(home) == 143


def test_a_stopped_run_is_kept_as_it_is_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(home, "3/critic", monkeypatch)
    assert f"i2i-registry save {home / 'run'}" in capsys.readouterr().err

    assert program(home, "save", str(home / "run")) == 0

    written = capsys.readouterr()
    assert written.out == "painted@1\n"
    assert "of an unfinished training, after step 3 of 5, in stage paint" in written.err
    card = Store(home / "store").find("painted")
    assert card.summary.endswith("unfinished, after step 3 of 5, in stage paint")
    assert card.provenance.kind == "trained"
    assert card.provenance.steps == 3


def test_what_is_kept_are_the_averages_of_the_last_checkpoint(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(home, "2/painter", monkeypatch)
    assert program(home, "save", str(home / "run"), "--as", "so-far") == 0

    (checkpoint,) = (path for path in (home / "run" / "checkpoints").iterdir() if "000000000." not in path.name)
    saved = load_file(checkpoint / "state.safetensors")
    model, _ = open_model(toy_registry(), "so-far", Store(home / "store"))
    for key, tensor in model.networks["painter"].state_dict().items():
        torch.testing.assert_close(tensor, saved[f"ema/painter/{key}"], rtol=0, atol=0)


def test_the_run_goes_on_afterwards_and_its_end_is_the_next_version(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(home, "2/critic", monkeypatch)
    assert program(home, "save", str(home / "run")) == 0
    assert program(home, "train", "--resume", str(home / "run")) == 0

    assert Store(home / "store").versions("painted") == (1, 2)
    capsys.readouterr()
    assert program(home, "save", str(home / "run")) == 0
    assert capsys.readouterr().out == "painted@2\n"


def test_a_run_without_a_complete_step_has_nothing_to_keep(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(home, "--checkpoint-every", "0", "--set", "poison_step=1") == 1

    assert program(home, "save", str(home / "run")) == 2
    assert "no checkpoint with a complete step" in capsys.readouterr().err


def test_a_run_is_trained_by_one_process_at_a_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(home, "1/critic", monkeypatch)
    with RunFolder(home / "run").alone():
        assert program(home, "train", "--resume", str(home / "run")) == 1
    assert "another process works in it" in capsys.readouterr().err
    assert program(home, "train", "--resume", str(home / "run")) == 0


def test_a_folder_that_a_killed_command_left_empty_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "runs" / "painted").mkdir(parents=True)
    (home / "runs" / "painted" / ".run.json.i2i-0123456789ab.partial").write_text("{")
    arguments = ["--data", "data", "--as", "painted", "--threads", "1", "--sample-every", "0", "--steps", "1"]
    assert program(home, "train", "toy", *arguments) == 0
    assert [path.name for path in (home / "runs").iterdir()] == ["painted"]


def test_a_name_that_was_taken_meanwhile_loses_nothing_and_the_fix_works(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(home, "3/critic", monkeypatch)
    assert program(home, "save", str(home / "run")) == 0
    (card,) = (home / "store" / "cards" / "painted").iterdir()
    card.write_text(card.read_text().replace('"model": "toy"', '"model": "another"'))
    capsys.readouterr()

    assert program(home, "train", "--resume", str(home / "run")) == 1

    told = capsys.readouterr().err
    assert "'painted' is taken: it names your weights of another, which it did not when this training began" in told
    command = told.partition("fix: i2i-registry ")[2].splitlines()[0]
    assert program(home, *shlex.split(command)) == 0
    assert Store(home / "store").find("my-painted").provenance.kind == "trained"


def test_what_is_no_run_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program(home, "save", str(home / "data")) == 2
    assert "holds no run.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("toy", "it names a model"), ("No Name", "cannot be the name"), ("x@2", "x@2"), ("", "cannot be the name")],
)
def test_every_command_that_stores_refuses_a_name_in_the_same_words_before_the_work(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    stop(home, "1/critic", monkeypatch)
    (home / "garbage.pth").write_bytes(b"no checkpoint")
    Store(home / "store").root.mkdir(exist_ok=True)
    (home / "run" / "checkpoints").rename(home / "run" / "gone")  # nothing of it is read
    told: set[str] = set()
    for command in (
        ["train", "toy", "--data", str(home / "none"), "--as", name],
        ["import", "toy", str(home / "garbage.pth"), "--as", name],
        ["save", str(home / "run"), "--as", name],
    ):
        capsys.readouterr()
        assert program(home, *command) == 2
        told.add(capsys.readouterr().err)
    (only,) = told
    assert words in only
