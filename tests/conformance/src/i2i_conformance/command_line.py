"""The command line for tests of plugins, in the process of the test and with a store of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2i_registry import Store, discover
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session


def run_command(words: Sequence[str | Path], store: Store) -> int:
    """Run `i2i-registry WORDS` with the installed plugins and this store, and return its exit code."""
    return run_program([str(word) for word in words], Session(discover(strict=False), store))
