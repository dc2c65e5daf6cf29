"""The shipped weights as bundles, each exported once for all tests of a run."""

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


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of shipped weights, by their name, exported by the command line. Nobody may change it."""
    # With pytest-xdist every worker has a folder of its own inside one that belongs to the run.
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shipped"
    shared.mkdir(exist_ok=True)

    def export(weights: str) -> Path:
        bundle = shared / f"{weights}-onnx"
        with FileLock(shared / f"{weights}.lock"):
            if not bundle.exists():
                session = Session(discover(), Store(shared / "home"))
                assert run_program(["export", weights, "--onnx", "-o", str(bundle)], session) == 0
        return bundle

    return export
