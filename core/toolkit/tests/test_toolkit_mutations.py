"""Whatever is in a file of a run, its reader gives a result or one of our errors, in few words."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

from i2i_runtime.errors import I2IError
from i2i_toolkit.engine.checkpoints import Checkpoints
from i2i_toolkit.engine.state import Cursor, Snapshot
from i2i_toolkit.training import journal
from i2i_toolkit.training.launch import note_failure, take_failure
from i2i_toolkit.training.run_folder import RunFolder, RunRecord, TrainingSettings

TRIES = 120
LONGEST_MESSAGE = 3000
PIECES = (
    b"\x00",
    b"\xff",
    b"{",
    b"[",
    b'"',
    b"}",
    b",",
    b"\n",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 5000,
    b"true",
    b"\x1b[2J",
)
BOMBS = (
    b"",
    b"[" * 200_000 + b"\n",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
    b"{" + b",".join(b'"f%d":0' % number for number in range(100_000)) + b"}\n",
    b'{"total_step": ' + b"9" * 100_000 + b"}\n",
    b" " * (3 << 20),
)
Reader = tuple[Path, Callable[[], object]]


def _mutations(content: bytes) -> Generator[bytes]:
    chance = random.Random(11)  # noqa: S311
    for _ in range(TRIES):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(changed) + 1)
            end = min(start + chance.choice((0, 1, 1, 7, 60)), len(changed))
            changed[start:end] = chance.choice((*PIECES, bytes(changed[start:end]) * 2, chance.randbytes(3), b""))
        yield bytes(changed)


@pytest.fixture
def readers(tmp_path: Path) -> dict[str, Reader]:
    """Name -> a whole file of a run, and what reads it."""
    record = RunRecord(
        name="x",
        model="toy",
        preset="p",
        config={"width": 3},
        options={},
        settings=TrainingSettings(),
        data="/d",
        command="c",
        versions={},
    )
    folder = RunFolder(tmp_path / "run")
    folder.create(record)
    snapshot = Snapshot(
        tensors={"network/a.w": torch.zeros(2)},
        cursor=Cursor(stage=0, step=1, phase=0),
        optimizers={},
        scaler={},
        values={},
    )
    saved = Checkpoints(tmp_path / "run" / "checkpoints", record.identity()).save(snapshot, total_step=1, seconds=1.0)
    folder.metrics.write_text('{"total_step": 1, "a/x": 0.5}\n{"total_step": 2, "a/x": NaN}\n')
    note_failure(folder, I2IError("found", "expected", "fix"))
    return {
        "run.json": (tmp_path / "run" / "run.json", folder.record),
        "state.json": (saved / "state.json", lambda: folder.checkpoints().newest()),
        "state.safetensors": (saved / "state.safetensors", lambda: folder.checkpoints().newest()),
        "metrics.jsonl": (folder.metrics, lambda: list(journal.rows(folder))),
        "failure.json": (folder.failure, lambda: take_failure(folder)),
    }


def _read(read: Callable[[], object]) -> None:
    message = ""
    try:
        read()
    except I2IError as error:
        message = str(error)
    assert len(message) < LONGEST_MESSAGE
    assert not {letter for letter in message if not letter.isprintable()} - {"\n"}


NAMES = ["run.json", "state.json", "state.safetensors", "metrics.jsonl", "failure.json"]


@pytest.mark.parametrize("name", NAMES)
def test_any_change_gives_a_result_or_an_error_of_ours(readers: dict[str, Reader], name: str) -> None:
    path, read = readers[name]
    whole = path.read_bytes()
    for changed in (*_mutations(whole), *BOMBS):
        path.write_bytes(changed)
        _read(read)
    path.write_bytes(whole)
    read()


@pytest.mark.skipif(os.name == "nt", reason="named pipes are no files there")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop"])
def test_what_is_no_file_is_an_error_at_once(readers: dict[str, Reader], name: str, kind: str) -> None:
    path, read = readers[name]
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(path.name)
    _read(read)
