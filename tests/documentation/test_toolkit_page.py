"""The page of the toolkit's parts names what the toolkit exports, no less and no more."""

from __future__ import annotations

import re
from pathlib import Path

import i2i_toolkit

from .toolkit_page import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_source_says() -> None:
    committed = (ROOT / "docs" / "toolkit.md").read_text(encoding="utf-8")
    assert committed == page(), "run: python -m tests.documentation.toolkit_page > docs/toolkit.md"


def test_every_public_name_is_on_the_page_once() -> None:
    named = re.findall(r"^\| `(\w+)` \| \S", page(), flags=re.MULTILINE)
    assert sorted(named) == sorted(name for name in dir(i2i_toolkit) if not name.startswith("_"))


def test_the_page_is_linked_from_where_authors_begin() -> None:
    assert "docs/toolkit.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(toolkit.md)" in (ROOT / "docs" / "plugin-author.md").read_text(encoding="utf-8")
