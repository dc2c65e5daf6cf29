"""docs/plugin-author.md changes a new plugin in ways that fit it, and explains every check."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest

import i2i_registry
import i2i_runtime
from i2i_conformance import checks
from i2i_conformance.promises import PAGE, PROMISES, anchor
from i2i_registry import Registry
from i2i_toolkit.authoring.new_plugin import names_for, write_plugin

ROOT = Path(__file__).parents[3]
TOY = ROOT / "examples" / "toy_plugin"


def page() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def listings(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(), re.DOTALL | re.MULTILINE)


def without_blank_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin that the page begins with, and its changes in the order of the page."""
    folder = tmp_path_factory.mktemp("season") / "plugin"
    write_plugin(folder, names_for("season", "Season", "cyclegan", Registry()), "cyclegan")
    return folder


def test_the_page_shows_code_of_the_new_plugin(season: Path) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in season.rglob("*.py"))
    assert listings("python")
    assert [listing for listing in listings("python") if listing not in code] == []


def test_the_changes_of_the_page_fit_the_new_plugin(season: Path) -> None:
    assert listings("diff")
    for change in listings("diff"):
        apply = ["git", "apply", "--unidiff-zero", "-"]
        done = subprocess.run(apply, cwd=season, input=change, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{change}"


def test_the_page_has_every_kind_of_input() -> None:
    kinds = [name for name in dir(i2i_runtime) if name.endswith("Input")]
    assert [kind for kind in kinds if f"| `{kind}` |" not in page()] == []


def test_the_toy_fits_a_screen() -> None:
    code = (TOY / "src" / "i2i_plugin_toy" / "tint.py").read_text(encoding="utf-8")
    statements = re.sub(r'""".*?"""', "", code, flags=re.DOTALL)
    assert len(without_blank_lines(statements)) <= 80


def promises() -> list[str]:
    """The headings below "What every interface promises"."""
    _, _, section = page().partition("\n## What every interface promises\n")
    return re.findall(r"^### (.*)$", section.partition("\n## ")[0], re.MULTILINE)


CHECKS = [
    f"{module.name}.{name}"
    for module in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}.")
    for name, check in vars(importlib.import_module(module.name)).items()
    if name.startswith("check_") and check.__module__ == module.name
]


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_names_its_interface(check: str) -> None:
    assert PROMISES[check] in promises()


@pytest.mark.parametrize("interface", promises())
def test_every_promise_is_of_an_interface_and_is_checked(interface: str) -> None:
    assert interface in PROMISES.values()
    if not interface.startswith("The "):
        name, _, member = interface.partition(".")
        found = getattr(i2i_registry, name, None) or getattr(i2i_runtime, name)
        assert not member or member in {*vars(found), *found.__annotations__}


def test_every_promise_has_an_address_of_its_own() -> None:
    anchors = [anchor(heading) for heading in re.findall(r"^#+ (.*)$", page(), re.MULTILINE)]
    assert all(anchors.count(anchor(interface)) == 1 for interface in promises())
