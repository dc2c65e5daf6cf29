"""The command line `i2i-registry`. Each command parses, calls one library function, and renders.

Exit codes: 0 done; 1 it failed; 2 wrong usage; 130 interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from i2i_registry.cli.start import main

if TYPE_CHECKING:
    from i2i_registry.cli.program import run

__all__ = ["main", "run"]


def __getattr__(name: str) -> object:
    # Imported when it is used: `main` answers Ctrl-C before that.
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("i2i_registry.cli.program").run
