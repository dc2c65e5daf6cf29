"""How results look: tables and JSON on stdout, everything that is said to people on stderr.

Names come from files of other people: whatever they hold is shown without effect on the terminal, and cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from i2i_runtime.errors import I2IError
from i2i_runtime.image.folders import Listing
from i2i_runtime.untrusted_text import printable

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


_LINE = 4096
"""characters of a line: the longest path is shown whole"""
_CELL = 100
"""characters of a cell of a table, but for those of the last column, which push nothing aside"""


def tell(line: str) -> None:
    """One line of progress or explanation, to stderr; lost where nobody can take it."""
    with suppress(OSError):
        click.echo(printable(line, _LINE), err=True)


def tell_error(error: I2IError) -> None:
    """Write an error in its three parts to stderr."""
    tell(f"error: {error.found}")
    if error.expected:
        tell(f"  expected: {error.expected}")
    if error.fix:
        tell(f"  fix: {error.fix}")


def tell_left_out(listing: Listing) -> None:
    """Write to stderr what a folder holds beside images; nothing where it holds nothing else."""
    if listing.left_out:
        tell(listing.sentence())


def left_out_as_data(listings: Sequence[Listing]) -> list[dict[str, str]]:
    """Return the same for programs."""
    return [
        {"path": str(path), "reason": reason}
        for listing in listings
        for reason, paths in listing.left_out.items()
        for path in paths
    ]


def show(line: str = "") -> None:
    """One line of a result, to stdout. Raises OSError where it cannot be written."""
    click.echo(printable(line, _LINE))


def show_json(value: object) -> None:
    """Write a result for programs to stdout, in pure ASCII, so that no locale can spoil it."""
    click.echo(json.dumps(value, indent=2, default=str))


def show_made(path: Path, data: Mapping[str, object], *, as_json: bool) -> None:
    """Write where a result lies to stdout, or for programs all that is to be known about it."""
    if as_json:
        show_json(data)
    else:
        show(str(path))


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned columns under titles."""
    rows = [[*(printable(cell, _CELL) for cell in row[:-1]), printable(row[-1], _LINE)] for row in rows]
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    for row in (titles, *rows):
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def bytes_in_words(size: int) -> str:
    """Return a size for people: "4.2 MB"."""
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
