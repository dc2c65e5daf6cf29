"""The command line `i2i-registry`. Each command parses, calls one library function, and renders.

Exit codes: 0 done; 1 it failed; 2 wrong usage; 130 interrupted. Results go to stdout, everything else to stderr.
"""

from i2i_registry.cli.program import main, run

__all__ = ["main", "run"]
