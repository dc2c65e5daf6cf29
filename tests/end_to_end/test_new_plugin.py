"""A plugin as `new-plugin` writes it: installed, put through the conformance suite, and used as its README says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_registry import discover
from i2i_toolkit.authoring.new_plugin import LIKE, names_for, write_plugin

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that has to succeed, with the plugin beside the folder `cwd` installed."""
    # A suite that took itself for a worker of these tests would share bundles with other plugins of the same name.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    added = {"PYTHONPATH": str(cwd.parent / "site"), "I2I_HOME": str(cwd.parent / "home")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=ours | added, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(plugin: Path) -> None:
    """Install a plugin as pip does, into a folder of its own beside it."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--target", plugin.parent / "site")
    run(sys.executable, "-m", "pip", "install", "-q", *options, plugin, cwd=plugin)


def readme_commands(plugin: Path) -> dict[str, list[str]]:
    """The commands of the README, after those that install and test it, by their names."""
    lines = [line[4:] for line in (plugin / "README.md").read_text("utf-8").splitlines() if line.startswith("    ")]
    commands = [shlex.split(line, comments=True) for line in lines]
    return {" ".join(words[:1] if words[0] == "python" else words[:2]): words for words in commands}


@pytest.mark.parametrize("like", LIKE)
def test_a_new_plugin_conforms_and_does_what_its_readme_says(like: str, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    write_plugin(plugin, names_for("fresh", "Fresh", like, discover()), like)
    install(plugin)
    assert " passed" in run(PROGRAMS / "pytest", "-q", "-p", "no:cacheprovider", cwd=plugin)

    commands = readme_commands(plugin)
    run(sys.executable, *commands["python"][1:], cwd=plugin)
    shutil.copy(ROOT / "examples" / "images" / "chelsea.jpg", plugin / "photo.jpg")
    shorter = {"200": "2", "steps_per_scale=100": "steps_per_scale=2"}
    training = [shorter.get(word, word) for word in commands["i2i-registry train"][1:]]
    assert training != commands["i2i-registry train"][1:]
    run(PROGRAMS / "i2i-registry", *training, "--threads", "1", cwd=plugin)
    run(PROGRAMS / "i2i-registry", *commands["i2i-registry export"][1:], cwd=plugin)
    run(PROGRAMS / "i2i-registry", *commands["i2i-registry run"][1:], cwd=plugin)
    assert (plugin / "out.png").stat().st_size > 0


def test_the_plugin_of_the_page_for_authors_conforms(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    write_plugin(plugin, names_for("season", "Season", "cyclegan", discover()), "cyclegan")
    page = (ROOT / "docs" / "plugin-author.md").read_text("utf-8")
    for change in re.findall(r"^```diff\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        apply = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(apply, cwd=plugin, input=change, text=True, check=True)
    install(plugin)
    assert " passed" in run(PROGRAMS / "pytest", "-q", "-p", "no:cacheprovider", cwd=plugin)
