"""What errors of training propose works: each proposal is taken from the message and followed once."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from toolkit_toy import KILL, toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.weights.store import Store

QUICK = "--threads 1 --sample-every 0 --steps 2"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with data, a stopped run without a complete step, and a folder that is no run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_data(tmp_path / "data")
    monkeypatch.setenv(KILL, "1/critic/SIGTERM")
    assert _program(tmp_path, f"train toy --data data --as stopped {QUICK}") == 143
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("keep")
    return tmp_path


def _program(home: Path, line: str) -> int:
    return run_program(shlex.split(line), Session(toy_registry(), Store(home / "store")))


@pytest.mark.parametrize(
    ("line", "more"),
    [
        (f"train toy --data data --out runs/stopped {QUICK}", ""),
        (f"train toy --data data --out taken {QUICK}", ""),
        (f"train toy --data data --as toy {QUICK}", ""),
        (f"train toy --data data --as 'A B' {QUICK}", ""),
        (f"train toy --data data --channels 2 --as small {QUICK}", ""),
        ("train toy", QUICK),
        ("train --resume nowhere", QUICK),
    ],
)
def test_following_the_fix_works(home: Path, capsys: pytest.CaptureFixture[str], line: str, more: str) -> None:
    capsys.readouterr()
    assert _program(home, line) == 2
    (fix,) = re.findall(r"^  fix: (.*)$", capsys.readouterr().err, re.MULTILINE)
    command = re.search(r"i2i-registry ([^;,`]+)", fix)
    if command:
        following = command[1].replace("MODEL", "toy").replace("DIR", "data")
    else:
        option = re.search(r"(--[a-z]+) (\S+)", fix)
        assert option, fix
        given = {"--set": "--channels"}.get(option[1], option[1])
        following = re.sub(rf"{given} ('[^']*'|\S+)", f"{option[1]} {option[2]}", line)
    assert _program(home, f"{following} {more}") == 0, (fix, following, capsys.readouterr().err)
