"""A toy plugin, a private registry of it, and a store of one's own, for the tests of this folder."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import Trained, WeightsDraft
from i2i_registry.plugins.discovery import Registry, build_registry
from i2i_registry.weights.store import Store
from i2i_runtime.attribution import Licence

HERE = Path(__file__).parent

Cli = Callable[..., int]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin's hook module, importable by name as an installed one would be."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("toy_plugin")


@pytest.fixture
def registry(toy: ModuleType) -> Registry:
    return build_registry([("i2i-plugin-toy", toy)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def draft() -> WeightsDraft:
    return WeightsDraft(
        name="mine",
        model="toy",
        config={"width": 3, "domains": ["photo", "drawing"]},
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="none", seed=0, steps=0),
        plugin="i2i-plugin-toy 0",
    )


@pytest.fixture
def cli(registry: Registry, store: Store) -> Cli:
    """The command line in this process, with the private registry and store."""
    return lambda *arguments: run_program([str(argument) for argument in arguments], Session(registry, store))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command line as a process, with what is really installed."""

    def start(
        arguments: Sequence[str | Path], code: str = "from i2i_registry.cli import main; main()", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "I2I_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return start


@pytest.fixture
def bundle(toy: ModuleType, tmp_path: Path) -> Path:
    """A bundle that makes negatives."""
    folder = tmp_path / "toy-onnx"
    folder.mkdir()
    importlib.import_module("toy_exporter").write_bundle(folder)
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Callable[[str], Path]:
    """Write an 8 x 8 image of one grey, below the test's folder."""

    def write(name: str, level: int = 200) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
        return path

    return write


# Root ignores permissions by two capabilities, which a process can give up before it starts another program.
_GIVE_UP = """
import ctypes, os, sys
prctl, PR_CAPBSET_DROP = ctypes.CDLL(None).prctl, 24
if any(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) for capability in (1, 2)):
    sys.exit("the capabilities cannot be given up here")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture(scope="session")
def unprivileged_python() -> list[str]:
    """How to start Python so that permissions apply to it, even where the tests run as root."""
    if os.name == "nt":
        pytest.skip("permissions are others there")
    if os.geteuid() != 0:
        return [sys.executable]
    if sys.platform != "linux":
        pytest.skip("run as root, to whom permissions do not apply")
    return [sys.executable, "-c", _GIVE_UP]
