"""docs/plugin-author.md shows the toy plugin's real code, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TOY = ROOT / "examples" / "toy_plugin"


def listings(language: str) -> list[str]:
    text = (ROOT / "docs" / "plugin-author.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


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
