"""Print the comparison of every recorded file: python -m tests.parity.table [FOLDER]."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .adapters import DEFAULT_FOLDER, check_file, find_adapters, find_files
from .comparison import Row


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [("file", "quantity", "error", "tolerance", "")]
    lines += [(r.file, r.quantity, f"{r.error:.2e}", f"{r.tolerance:.0e}", "" if r.ok else "MISS") for r in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        f"{file:<{widths[0]}}  {quantity:<{widths[1]}}  {error:>{widths[2]}}  {tolerance:>{widths[3]}}  {miss}".rstrip()
        for file, quantity, error, tolerance, miss in lines
    )


def compare(folder: Path) -> tuple[list[Row], dict[str, int]]:
    """The rows of every file below `folder` that an installed plugin knows; paper -> number of files of the others."""
    adapters = find_adapters()
    rows: list[Row] = []
    unknown: dict[str, int] = {}
    for path in find_files(folder):
        found = check_file(path, adapters)
        if found is None:
            unknown[path.parent.name] = unknown.get(path.parent.name, 0) + 1
        else:
            rows += found
    return rows, unknown


def main(arguments: Sequence[str]) -> int:
    """Print the table. Returns 1 on a miss, 2 when a folder was named and is not there, else 0."""
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    out = sys.stdout
    if not folder.is_dir():
        out.write(f"skipped: there are no recordings at {folder}\n")
        return 2 if arguments else 0
    rows, unknown = compare(folder)
    out.write(table(rows) + "\n\n")
    if unknown:
        named = ", ".join(f"{paper} ({count})" for paper, count in sorted(unknown.items()))
        out.write(f"skipped, no plugin has an adapter (files): {named}\n")
    misses = sum(not row.ok for row in rows)
    out.write(f"{len(rows)} comparisons, {misses} misses\n")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
