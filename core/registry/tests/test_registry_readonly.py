"""A store that cannot be written serves what it holds; what must write says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.weights.store import Store

Write = Callable[[str], Path]
TENSORS = {"net.conv.weight": torch.ones(3, 3, 1, 1), "net.conv.bias": torch.zeros(3)}
PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import toy_plugin
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import build_registry
sys.exit(run_program(sys.argv[1:], Session(build_registry([("i2i-plugin-toy", toy_plugin)]))))
"""
Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def start(store: Store, draft: WeightsDraft, tmp_path: Path, unprivileged_python: list[str]) -> Generator[Start]:
    """The program with the toy plugin, on a store that only root could write."""
    store.add(TENSORS, draft)
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    (store.root / "lock").chmod(0o444)

    def run(*arguments: object, home: Path = store.root) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*unprivileged_python, "-c", PROGRAM, str(Path(__file__).parent), *map(str, arguments)],
            env={**os.environ, "I2I_HOME": str(home), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    yield run
    for folder in folders:
        folder.chmod(0o755)


def test_a_read_only_store_lists_and_tells(start: Start) -> None:
    for command in (["list"], ["info", "mine"]):
        result = start(*command)
        assert (result.returncode, "mine@1" in result.stdout) == (0, True), result.stderr


def test_a_read_only_store_exports_to_elsewhere(start: Start, tmp_path: Path) -> None:
    result = start("export", "mine", "--onnx", "-o", "elsewhere")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()


def test_a_read_only_store_runs_what_it_holds(start: Start, tmp_path: Path, image: Write) -> None:
    result = start("run", "mine", image("in.png"), "-o", "out.png")
    assert result.returncode == 0, result.stderr
    assert "for this command only" in result.stderr
    assert (tmp_path / "out.png").is_file()


def test_what_must_write_says_why_it_cannot(start: Start, store: Store, tmp_path: Path) -> None:
    result = start("export", "mine", "--onnx", "-o", store.root / "inside")
    assert (result.returncode, "Permission denied" in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_may_not_be_read_gives_the_reason(start: Start, store: Store) -> None:
    (store.root / "cards").chmod(0o000)
    result = start("list")
    assert result.returncode == 1
    assert "Permission denied" in result.stderr


def test_a_file_in_place_of_the_store_gives_the_reason(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = start("list", home=tmp_path / "file")
    assert (result.returncode, "Not a directory" in result.stderr) == (1, True), result.stderr


def test_two_exports_to_one_place_end_in_one_bundle(store: Store, draft: WeightsDraft, tmp_path: Path) -> None:
    store.add(TENSORS, draft)
    arguments = ["export", "mine", "--onnx", "-o", str(tmp_path / "out")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), *arguments],
            env={**os.environ, "I2I_HOME": str(store.root), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert min(code for _, code in ends) == 0
    (error,) = (text for text, code in ends if code)
    assert "exists" in error or "another process is writing it" in error
    assert "Traceback" not in error
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize(
    "command",
    [
        "run mine {} -o out",
        "run {}/a-onnx a.png -o out.png",
        "compare {} --models mine -o out.png",
        "inspect {}",
        "inspect {}/x.pth",
        "verify {}",
        "import toy {} --as x",
        "import toy {}/x.pth --as x",
        "export mine --onnx -o {}/out",
    ],
)
def test_a_folder_that_may_not_be_read_is_the_reason_that_is_told(start: Start, tmp_path: Path, command: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    result = start(*command.format(closed).split())
    closed.chmod(0o755)
    assert result.returncode in {1, 2}
    assert "Permission denied" in result.stderr or "is not readable" in result.stderr
    assert str(closed) in result.stderr
    assert "this is a fault of" not in result.stderr
