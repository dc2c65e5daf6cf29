"""Training in two real processes, over gloo on CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toolkit_toy import write_data

TESTS = Path(__file__).parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the toy is an installed plugin, and the store is apart."""
    info = tmp_path / "installed" / "toolkit_toy-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toolkit-toy\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[i2i]\ntoy = toolkit_toy\n", encoding="utf-8")
    path = os.pathsep.join([str(info.parent), str(TESTS)])
    return {**os.environ, "PYTHONPATH": path, "I2I_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}


def start(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = "from i2i_registry.cli import main; main()"
    command = [sys.executable, "-c", code, "train", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_two_processes_train_one_model(tmp_path: Path, environment: dict[str, str]) -> None:
    write_data(tmp_path / "data")
    run = tmp_path / "run"
    environment["TOY_STATES"] = str(tmp_path)
    done = start(
        ["toy", "--data", str(tmp_path / "data"), "--out", str(run), "--processes", "2", "--steps", "3"], environment
    )

    assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert done.stderr.count("weights: ") == 1
    assert (run / "weights.safetensors").is_file()


def test_an_error_in_a_worker_is_told_once_and_in_full(tmp_path: Path, environment: dict[str, str]) -> None:
    run = tmp_path / "run"
    done = start(["toy", "--data", str(tmp_path / "none"), "--out", str(run), "--processes", "2"], environment)

    assert done.returncode == 2
    assert done.stderr.count("does not exist") == 1
    assert "Traceback" not in done.stderr
    assert not run.exists()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX terminal")
def test_a_terminal_that_is_closed_saves_the_run(tmp_path: Path, environment: dict[str, str]) -> None:
    write_data(tmp_path / "data")
    master, terminal = os.openpty()

    own_it = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    code = f"{own_it}; from i2i_registry.cli import main; main()"
    arguments = ["train", "toy", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--steps", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.is_file() and metrics.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    os.close(master)  # as closing the window does: a signal, and nothing can be written any more
    assert process.wait(120) == 129
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert any(not name.startswith("step-000000000") for name in saved), saved


def test_training_leaves_nothing_in_home_but_the_store(tmp_path: Path, environment: dict[str, str]) -> None:
    write_data(tmp_path / "data")
    home = tmp_path / "empty"
    home.mkdir()
    del environment["I2I_HOME"]
    kept = {name: value for name, value in environment.items() if not name.startswith(("XDG_", "MPL"))}
    out = ["--out", str(tmp_path / "run"), "--as", "x", "--steps", "1"]
    done = start(["toy", "--data", str(tmp_path / "data"), *out], {**kept, "HOME": str(home)})

    assert done.returncode == 0, done.stderr
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert files
    assert all("/i2i/" in f"/{file}" for file in files), files
