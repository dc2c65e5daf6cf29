"""docs/plugin-author.md shows the toy plugin's real code, all of it and nothing else, and explains every check."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import i2i_registry
import i2i_runtime
from i2i_conformance import checks
from i2i_conformance.promises import PAGE, PROMISES, anchor

ROOT = Path(__file__).parents[3]
TOY = ROOT / "examples" / "toy_plugin"


def page() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def listings(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(), re.DOTALL | re.MULTILINE)


def without_blank_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_the_tutorial_shows_the_toys_pyproject() -> None:
    assert listings("toml") == [(TOY / "pyproject.toml").read_text(encoding="utf-8")]


def test_the_tutorial_shows_the_toys_code_from_top_to_bottom() -> None:
    package = TOY / "src" / "i2i_plugin_toy"
    code = [(package / name).read_text(encoding="utf-8") for name in ("__init__.py", "tint.py")]
    assert without_blank_lines("\n".join(listings("python"))) == without_blank_lines("\n".join(code))


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
