"""What a user installs: wheels, into an empty virtual environment, used from another folder and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
IMAGE = ROOT / "examples" / "images" / "chelsea.jpg"
TINY = {"image_size": 32, "channels": 2, "res_blocks": 1, "global_layers": 5, "local_layers": 4, "enlarge_px": 2}
TINY_TRAINING = [
    *("--preset", "light", "--steps", "1", "--threads", "1"),
    *(part for name, value in TINY.items() for part in ("--set", f"{name}={value}")),
]
OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that has to succeed, in an environment that knows nothing of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "I2I_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        *DISTRIBUTIONS,
        cwd=folder,
    )
    assert len(list(folder.glob("i2i_*.whl"))) == len(DISTRIBUTIONS)
    return folder


def environment_with(requirement: str, wheels: Path, folder: Path) -> Path:
    """A new virtual environment with `requirement` and what it asks for, nothing else; its folder of programs."""
    venv.create(folder, with_pip=False)  # our pip installs into it, which takes less time than another pip
    programs = folder / "bin"
    install = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "-q", "--no-compile"]
    run(*install, "--find-links", wheels, "-c", ROOT / "constraints.txt", requirement, cwd=folder)
    return programs


@pytest.fixture(scope="module")
def plugin_environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install i2i-plugin-ugatit` makes of an empty environment."""
    return environment_with("i2i-plugin-ugatit", wheels, tmp_path_factory.mktemp("plugin") / "venv")


@pytest.fixture(scope="module")
def bundle(plugin_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights, exported by the installed command line with nothing but what lies in the wheels."""
    folder = tmp_path_factory.mktemp("export")
    program = plugin_environment / "i2i-registry"
    run(program, "export", "ugatit", "--onnx", "-o", "bundle", cwd=folder, I2I_HOME=str(folder / "home"), **OFFLINE)
    return folder / "bundle"


def test_a_bare_install_lists_exports_and_runs(plugin_environment: Path, bundle: Path, tmp_path: Path) -> None:
    program = plugin_environment / "i2i-registry"
    home = {"I2I_HOME": str(tmp_path / "home"), **OFFLINE}
    listed = json.loads(run(program, "list", "--json", cwd=tmp_path, **home))
    assert "ugatit" in json.dumps(listed)
    run(program, "run", bundle, IMAGE, "-o", "out.png", cwd=tmp_path, **home)
    assert (tmp_path / "out.png").stat().st_size > 0


def test_a_bare_install_trains(plugin_environment: Path, tmp_path: Path) -> None:
    home = {"I2I_HOME": str(tmp_path / "home"), **OFFLINE}
    make_data = (
        "from pathlib import Path; from i2i_toolkit.data.unpaired import write_unpaired_example; "
        "write_unpaired_example(Path('data'), 32)"
    )
    run(plugin_environment / "python", "-c", make_data, cwd=tmp_path)
    program = plugin_environment / "i2i-registry"
    run(program, "train", "ugatit", "--data", "data", "--as", "mine", *TINY_TRAINING, cwd=tmp_path, **home)
    listed = run(program, "info", "mine", "--json", cwd=tmp_path, **home)
    assert '"mine"' in listed


def test_the_runtime_alone_runs_a_bundle_without_torch(wheels: Path, bundle: Path, tmp_path: Path) -> None:
    programs = environment_with("i2i-runtime[cpu]", wheels, tmp_path / "venv")
    run(programs / "python", ROOT / "examples" / "embed.py", bundle, IMAGE, "out.png", cwd=tmp_path, **OFFLINE)
    assert (tmp_path / "out.png").stat().st_size > 0
    absent = "import importlib.util as u; assert not [m for m in ('torch', 'onnx', 'i2i_registry') if u.find_spec(m)]"
    run(programs / "python", "-c", absent, cwd=tmp_path)
