"""The pages say what the program says."""

from __future__ import annotations

from pathlib import Path

from .cli_page import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_the_command_line_is_what_the_program_prints() -> None:
    committed = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert committed == page(), "run: python -m tests.documentation.cli_page > docs/cli.md"
