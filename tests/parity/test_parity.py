from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from .adapters import DEFAULT_FOLDER, adapter_for, check_file, find_adapters, find_files
from .comparison import Row
from .table import table

FOLDER = Path(os.environ.get("I2I_PARITY", DEFAULT_FOLDER))
FILES = [(path, adapter_for(path, find_adapters())) for path in find_files(FOLDER)]
KNOWN = [(path, adapter) for path, adapter in FILES if adapter is not None]
UNKNOWN = sorted({path.parent.name for path, adapter in FILES if adapter is None})


@cache
def rows_of(path: Path) -> tuple[Row, ...]:
    """The rows of a file, computed once for all tests."""
    return tuple(check_file(path, find_adapters()) or ())


@pytest.mark.skipif(bool(FILES), reason="there are recordings")
def test_recordings_are_there() -> None:
    pytest.skip(f"no recordings at {FOLDER}; set I2I_PARITY to a folder that has some")


@pytest.mark.parametrize("paper", UNKNOWN)
def test_every_paper_has_an_adapter(paper: str) -> None:
    pytest.skip(f"no plugin has an adapter for the recordings of {paper}")


@pytest.mark.parametrize("path", [path for path, _ in KNOWN], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_our_code_computes_what_was_recorded(path: Path) -> None:
    rows = rows_of(path)
    assert rows, f"{path} was compared with nothing"
    misses = [row for row in rows if not row.ok]
    assert not misses, "\n" + table(misses)
