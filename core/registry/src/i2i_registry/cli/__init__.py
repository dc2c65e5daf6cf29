"""The command line `i2i-registry`. Each command parses, calls one library function, and renders.

Exit codes: 0 done; 1 it failed; 2 wrong usage; 130 interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from i2i_registry.cli.start import answer_interrupts, leave_on_interrupt, open_streams

if TYPE_CHECKING:
    from i2i_registry.cli.program import run_program

__all__ = ["main", "run_program"]


def main() -> None:
    """Entry point of the installed command: Ctrl-C is answered before anything large is imported."""
    answer_interrupts()
    open_streams()
    from i2i_registry.cli.program import run_program, tell_log_records  # noqa: PLC0415 - takes a moment

    tell_log_records()
    code = run_program(sys.argv[1:])
    leave_on_interrupt(code)
    sys.exit(code)


def __getattr__(name: str) -> object:
    # Imported when it is used, as in `main`.
    if name != "run_program":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("i2i_registry.cli.program").run_program
