"""A plugin from elsewhere ships weights as two files in its package; no code and no catalogue names them."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import i2i_runtime as i2i
from i2i_registry.interfaces.cards import Trained, WeightsDraft
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.loading import tensors_of
from i2i_registry.weights.store import Store

TOY = Path(__file__).resolve().parents[3] / "examples" / "toy_plugin" / "src" / "i2i_plugin_toy"
ENTRY_POINT = "[i2i]\ntinted = outside_tint\n"
Write = Callable[..., Path]
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy of the guide as another distribution, installed as pip would leave it."""
    package = tmp_path / "site" / "outside_tint"
    package.mkdir(parents=True)
    for name in ("__init__.py", "tint.py"):
        text = (TOY / name).read_text(encoding="utf-8").replace("i2i_plugin_toy", "outside_tint")
        (package / name).write_text(re.sub('name( ?)=( ?)"tint"', r'name\1=\2"tinted"', text))
    info = package.parent / "outside_tint-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-tint\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    monkeypatch.syspath_prepend(str(package.parent))
    for name in ("outside_tint.tint", "outside_tint"):
        sys.modules.pop(name, None)  # of another test's site
    return package.parent


@pytest.fixture
def trained(site: Path, tmp_path: Path) -> Path:
    """A store in which its author has weights of it."""
    model = importlib.import_module("outside_tint.tint").Tint
    draft = WeightsDraft(
        name="warm",
        model="tinted",
        config={},
        licence=i2i.Licence(spdx="CC0-1.0"),
        provenance=Trained(data="sunsets", command="i2i-registry train tinted", seed=0, steps=7),
        plugin="outside-tint 1.2",
    )
    home = tmp_path / "home of its author"
    Store(home).add(tensors_of(model(model.Config())), draft)
    return home


def test_published_weights_are_listed_told_and_run_where_the_plugin_is_installed(
    program: Program, site: Path, trained: Path, image: Write, tmp_path: Path
) -> None:
    def i2i_registry(*arguments: str | Path, **environment: str) -> str:
        done = program(arguments, PYTHONPATH=str(site), **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    folder = site / "outside_tint" / "weights"
    written = i2i_registry("publish", "warm", "-o", folder, "--default", I2I_HOME=str(trained))
    assert written.splitlines() == [str(folder / "warm.safetensors"), str(folder / "warm.json")]
    shutil.rmtree(trained)

    listed = {each["name"]: each for each in json.loads(i2i_registry("list", "--json"))["weights"]}
    assert (listed["warm"]["model"], listed["warm"]["where"], listed["warm"]["default"]) == ("tinted", "plugin", True)
    assert "trained 7 steps on sunsets" in i2i_registry("info", "warm")
    out = tmp_path / "out.png"
    assert i2i_registry("run", "tinted", image("me.png"), "-o", out) == f"{out}\n"  # the model's default
    with Image.open(out) as made:
        assert made.size == (8, 8)


def test_existing_files_are_not_written_over(program: Program, site: Path, trained: Path) -> None:
    folder = site / "outside_tint" / "weights"
    folder.mkdir()
    (folder / "warm.json").write_text("{}")
    done = program(["publish", "warm", "-o", folder], PYTHONPATH="", I2I_HOME=str(trained))
    assert done.returncode == 2
    assert "warm.json exists" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["warm.json"]


@pytest.mark.parametrize(
    ("card", "reason"),
    [("{}", "warm.json cannot be read: name: Field required"), (None, "warm.json has no warm.safetensors beside it")],
)
def test_a_card_that_is_none_or_stands_alone_breaks_its_plugin_only(site: Path, card: str | None, reason: str) -> None:
    folder = site / "outside_tint" / "weights"
    folder.mkdir()
    (folder / "warm.json").write_text(card or "{}")
    if card is not None:
        (folder / "warm.safetensors").touch()
    found = discover(strict=False)
    (broken,) = [plugin for plugin in found.broken if plugin.distribution == "outside-tint"]
    assert reason in broken.reason
    assert "i2i-registry publish" in broken.fix
    assert "tint" in found.models
