"""`i2i-registry train` on the toy, in processes that are really killed."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toolkit_toy import KILL, run_and_exit, toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.weights.store import Store

STEPS = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def whole_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    home = tmp_path_factory.mktemp("whole")
    assert train(home, *new_run(data, home / "run")) == 0
    return home / "run"


def new_run(data: Path, out: Path) -> list[str]:
    settings = ["--threads", "1", "--checkpoint-every", "2", "--sample-every", "3", "--seed", "7"]
    return ["toy", "--data", str(data), "--out", str(out), "--as", "painted", "--steps", str(STEPS), *settings]


def train(home: Path, *arguments: str) -> int:
    """The command in this process."""
    return run_program(["train", *arguments], Session(toy_registry(), Store(home / "store")))


def train_apart(home: Path, arguments: Sequence[str], kill: str = "") -> int:
    """The command in a process of its own; negative when a signal ended it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["i2i_toolkit.training.console"])
    process = context.Process(target=run_and_exit, args=(["train", *arguments], home / "store", kill))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def assert_same_run(found: Path, expected: Path) -> None:
    tensors, wanted = load_file(found / "weights.safetensors"), load_file(expected / "weights.safetensors")
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(tensors[name], tensor), name
    assert metrics(found) == metrics(expected)


def metrics(run_folder: Path) -> list[dict[str, object]]:
    """The rows without the time, which no two runs share."""
    lines = (run_folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_a_run_leaves_all_its_files_and_stores_its_weights(whole_run: Path) -> None:
    names = {path.relative_to(whole_run).as_posix() for path in whole_run.rglob("*") if path.is_file()}

    assert {"run.json", "metrics.jsonl", "curves.png", "weights.safetensors", "samples/latest.png"} <= names
    assert {f"samples/step-{step:09d}.png" for step in (0, 3, 6)} <= names
    card, path = Store(whole_run.parent / "store").get("painted")
    assert (card.model, card.provenance.kind, card.config) == ("toy", "trained", {"channels": 4})
    assert path.read_bytes() == (whole_run / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("place", ["1/critic", "3/painter", "4/critic", "4/tint", "4/painter"])
def test_a_run_killed_in_any_phase_resumes_to_the_same_bits(
    place: str, data: Path, whole_run: Path, tmp_path: Path
) -> None:
    assert train_apart(tmp_path, new_run(data, tmp_path / "run"), kill=f"{place}/SIGKILL") == -signal.SIGKILL
    assert train(tmp_path, "--resume", str(tmp_path / "run")) == 0

    assert_same_run(tmp_path / "run", whole_run)


@pytest.mark.parametrize(("place", "code"), [("4/critic/SIGTERM", 143), ("4/tint/SIGINT", 130), ("4/tint/SIGHUP", 129)])
def test_a_signal_saves_inside_the_step(place: str, code: int, data: Path, whole_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train_apart(tmp_path, new_run(data, folder), kill=place) == code

    assert any(not path.name.endswith(".0") for path in (folder / "checkpoints").iterdir())
    assert train(tmp_path, "--resume", str(folder)) == 0
    assert_same_run(folder, whole_run)


def test_a_stopped_run_says_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KILL, "1/critic/SIGTERM")

    assert train(tmp_path, *new_run(data, tmp_path / "run")) == 143
    assert f"i2i-registry train --resume {tmp_path / 'run'}" in capsys.readouterr().err


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoints_whole(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train_apart(tmp_path, new_run(data, folder), kill="2/critic/SIGKILL") == -signal.SIGKILL
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())

    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_train_with_full_disk, args=(tmp_path, str(folder)))
    process.start()
    process.join(120)

    assert process.exitcode == 1
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == before
    assert train(tmp_path, "--resume", str(folder)) == 0


def _train_with_full_disk(home: Path, folder: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # bytes: room for rows, none for a checkpoint
    run_and_exit(["train", "--resume", folder], home / "store")


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_word(
    data: Path, whole_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert train_apart(tmp_path, new_run(data, folder), kill="5/critic/SIGKILL") == -signal.SIGKILL
    newest = max((folder / "checkpoints").iterdir()) / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-4] + b"oops")

    assert train(tmp_path, "--resume", str(folder)) == 0
    assert "state.safetensors was changed" in capsys.readouterr().err
    assert_same_run(folder, whole_run)


def test_a_complete_run_resumes_to_itself(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train(tmp_path, *new_run(data, folder)) == 0
    before = (folder / "weights.safetensors").read_bytes()

    assert train(tmp_path, "--resume", str(folder)) == 0
    assert (folder / "weights.safetensors").read_bytes() == before
    assert Store(tmp_path / "store").versions("painted") == (1,)


def test_changed_options_are_refused_by_name(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert train(tmp_path, *new_run(data, folder)) == 0
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["options"]["batch_size"] = 1
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")

    assert train(tmp_path, "--resume", str(folder)) == 1
    assert "option batch_size was 2, is 1" in capsys.readouterr().err


def test_a_run_of_a_plugin_with_other_options_says_which_versions_can_go_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert train(tmp_path, *new_run(data, folder)) == 0
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["options"]["former_option"] = 1
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")

    assert train(tmp_path, "--resume", str(folder)) == 1
    told = capsys.readouterr().err
    assert "error: the options in run.json do not fit the installed plugin: former_option: " in told
    assert "expected: fields and values that it knows: steps, " in told
    assert "fix: go on with the versions of i2i-toolkit and the plugin that run.json names" in told


def test_training_goes_on_from_stored_weights(data: Path, tmp_path: Path) -> None:
    assert train(tmp_path, *new_run(data, tmp_path / "one"), "--preset", "wide", "--as", "first") == 0
    assert train(tmp_path, *new_run(data, tmp_path / "two"), "--init", "first", "--as", "second") == 0

    first, second = (Store(tmp_path / "store").find(name) for name in ("first", "second"))
    assert second.parent == first.sha256
    assert second.config == {"channels": 6}


def test_a_poisoned_run_keeps_its_last_good_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert train(tmp_path, *new_run(data, folder), "--set", "poison_step=4") == 1

    assert "'judged' of phase 'painter' is nan in step 4" in capsys.readouterr().err
    assert max(path.name for path in (folder / "checkpoints").iterdir()) == "step-000000004.0"


@pytest.mark.parametrize("channels", [10**13, 10**17])
def test_a_training_without_enough_memory_is_told_and_leaves_nothing(
    channels: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No machine has so much: torch refuses it at once."""
    assert train(tmp_path, *new_run(data, tmp_path / "run"), "--set", f"channels={channels}") == 1
    told = capsys.readouterr().err
    assert "not enough memory for this training" in told
    assert "fix: start a new run with a smaller --batch-size" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy"], "--data is not given"),
        (["--data", "x"], "MODEL is not given"),
        (["tyo", "--data", "x"], "did you mean 'toy'?"),
        (["toy", "--data", "x", "--preset", "smal"], "did you mean 'small'?"),
        (["toy", "--data", "x", "--set", "chanels=3"], "did you mean 'channels'?"),
        (["toy", "--data", "x", "--set", "channels=many"], "channels = 'many'"),
        (["toy", "--data", "x", "--set", "channels"], "--set channels"),
        (["toy", "--data", "x", "--init", "nothing"], "'nothing'"),
        (["toy", "--data", "x"], "x does not exist"),
        (["toy", "--data", "x", "--device", "gpu"], "'gpu' is not one of"),
        (["--resume", "x", "--steps", "3"], "--resume together with steps"),
        (["--resume", "x"], "x holds no run.json"),
    ],
)
def test_a_wrong_request_ends_with_2_and_leaves_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert train(tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not (tmp_path / "runs").exists()


def test_a_refused_run_leaves_the_folder_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "empty").mkdir()

    assert train(tmp_path, "toy", "--data", "empty") == 2
    assert train(tmp_path, "toy", "--data", "empty", "--out", "runs/mine") == 2
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mine"]


def test_a_folder_that_is_taken_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep", encoding="utf-8")

    assert train(tmp_path, *new_run(data, tmp_path / "run")) == 2
    assert f"--out {tmp_path / 'run'}-2" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
