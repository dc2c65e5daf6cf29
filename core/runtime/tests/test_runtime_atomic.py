"""What killed processes leave is removed by the next one; what a live one is writing, and what is not ours, stays."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from i2i_runtime.files.atomic import atomic_folder, atomic_write, scratch_folder

Write = Callable[[Path], AbstractContextManager[Path]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no lock that tells dead from alive")

WRITER = """
import os, signal, sys
from pathlib import Path
from i2i_runtime.files.atomic import atomic_folder, atomic_write, scratch_folder

kind, path, end = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
with {"file": atomic_write, "folder": atomic_folder, "scratch": lambda _: scratch_folder()}[kind](path) as partial:
    (partial if kind == "file" else partial / "inside").write_text("half")
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.readline()
    (partial if kind == "file" else partial / "inside").write_text("whole")
"""


def _start(kind: str, path: Path, end: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, kind, str(path), end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(path.parent)},
    )


def _kill(kind: str, path: Path) -> None:
    with _start(kind, path, "kill") as process:
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder", "scratch"])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    (tmp_path / ".animation.partial").write_text("of another program")
    _kill(kind, tmp_path / "out")
    assert len(_names(tmp_path)) == 2
    with atomic_write(tmp_path / "next") as partial:
        partial.write_text("whole")
    assert _names(tmp_path) == [".animation.partial", "next"]


@pytest.mark.parametrize("kind", ["file", "folder", "scratch"])
def test_what_a_live_process_is_writing_stays(tmp_path: Path, kind: str) -> None:
    with _start(kind, tmp_path / "out", "wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        with atomic_write(tmp_path / "next") as partial:
            partial.write_text("whole")
        assert len(_names(tmp_path)) == 2
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    made = {"file": tmp_path / "out", "folder": tmp_path / "out" / "inside"}
    if kind in made:
        assert made[kind].read_text() == "whole"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_is_built_by_one_process_at_a_time(tmp_path: Path) -> None:
    with _start("folder", tmp_path / "out", "wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        with pytest.raises(OSError, match="another process is writing it") as caught, atomic_folder(tmp_path / "out"):
            pass
        assert caught.value.errno == errno.EBUSY
        with atomic_folder(tmp_path / "other") as partial:
            (partial / "x").write_text("not in its way")
        process.communicate("\n", timeout=60)
    assert (tmp_path / "out" / "inside").read_text() == "whole"


def test_a_killed_folder_is_built_anew_from_nothing(tmp_path: Path) -> None:
    _kill("folder", tmp_path / "out")
    with atomic_folder(tmp_path / "out") as partial:
        assert _names(partial) == []
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("write", [atomic_write, atomic_folder])
def test_a_name_that_the_system_refuses_is_told_before_the_work(tmp_path: Path, write: Write) -> None:
    with pytest.raises(OSError, match="too long"), write(tmp_path / ("x" * 5000)):
        pytest.fail("the work began")


def test_the_longest_name_that_the_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("\u00e4" * 127)  # 254 bytes
    with atomic_write(path) as partial:
        partial.write_text("whole")
    assert path.read_text() == "whole"


def test_a_scratch_folder_is_private_and_gone_afterwards() -> None:
    with scratch_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "x").write_text("")
    assert not folder.exists()
