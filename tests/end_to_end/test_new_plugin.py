"""Plugins as `new-plugin` writes them: installed, put through the conformance suite, and used as their READMEs say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_registry import discover
from i2i_toolkit.authoring.new_plugin import LIKE, names_for, write_plugin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, site: Path) -> str:
    """Standard output of a command that has to succeed, with the plugins in the folder `site` installed."""
    # A suite that took itself for a worker of these tests would share bundles with other plugins of the same name.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=site.parent, env=ours | {"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(*plugins: Path, site: Path) -> None:
    """Install plugins as pip does, into a folder of their own."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--target", site)
    run(sys.executable, "-m", "pip", "install", "-q", *options, *plugins, site=site)


def write(plugin: Path, like: str) -> Path:
    """A new plugin, called as its folder is."""
    write_plugin(plugin, names_for(plugin.name, plugin.name.title(), like, discover()), like)
    shutil.copy(ROOT / "examples" / "images" / "chelsea.jpg", plugin / "photo.jpg")
    return plugin


def change_as_the_page_for_authors(plugin: Path) -> None:
    """Apply the differences that docs/plugin-author.md goes through."""
    page = (ROOT / "docs" / "plugin-author.md").read_text("utf-8")
    for change in re.findall(r"^```diff\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        apply = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(apply, cwd=plugin, input=change, text=True, check=True)


def test_new_plugins_and_that_of_the_page_for_authors_conform_and_do_what_their_readmes_say(tmp_path: Path) -> None:
    site = tmp_path / "site"
    plugins = [write(tmp_path / f"fresh{like}", like) for like in LIKE]
    season = write(tmp_path / "season", "cyclegan")
    change_as_the_page_for_authors(season)
    plugins.append(season)
    install(*plugins, site=site)
    said = run(sys.executable, Path(__file__).with_name("plugin_author.py"), *plugins, site=site)
    assert len(re.findall(r"\d+ passed", said)) == len(plugins)
    assert all((plugin / "out.png").stat().st_size > 0 for plugin in plugins)
