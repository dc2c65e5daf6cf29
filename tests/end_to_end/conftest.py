"""Bundles, each made once for all tests of a run: of shipped weights, and of what learned from one image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.store import Store
from i2i_toolkit import write_single_example

from .learned import HEIGHT, WIDTH, Learned


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of a run, for what is made once."""
    # With pytest-xdist every worker has a folder of its own inside one that belongs to the run.
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def exported(shared: Path) -> Callable[[str], Path]:
    """The bundle of shipped weights, by their name, exported by the command line. Nobody may change it."""

    def export(weights: str) -> Path:
        bundle = shared / f"{weights}-onnx"
        with FileLock(shared / f"{weights}.lock"):
            if not bundle.exists():
                session = Session(discover(), Store(shared / "home"))
                assert run_program(["export", weights, "--onnx", "-o", str(bundle)], session) == 0
        return bundle

    return export


@pytest.fixture(scope="session")
def learned(shared: Path) -> Learned:
    """Weights of models that learn from one image."""
    folder = shared / "learned"
    with FileLock(shared / "learned.lock"):
        learned = Learned(folder)
        if not learned.image.exists():
            write_single_example(folder / "data", (HEIGHT, WIDTH))
            (folder / "data" / "image.png").rename(learned.image)
    return learned
