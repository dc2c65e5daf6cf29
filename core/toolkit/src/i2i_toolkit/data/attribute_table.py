"""Tables of attributes: a line for each image, and for each attribute whether the image has it.

Two forms are read. That of CelebA (list_attr_celeba.txt): the number of images, the names of the attributes, then lines
of a file name and 1 or -1 for each attribute, all separated by blanks. And CSV: a heading with a name for the column of
the files and the names of the attributes, then lines of a file name and 1, 0 or -1 for each; 0 and -1 both say no.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.errors import LayoutError

LARGEST = 1 << 28
"""bytes of a table; CelebA's is 27 million"""
_LONGEST_COUNT = 32
_VALUES = {"1": True, "0": False, "-1": False}
_FIX = "correct the line; a table has a line for every image, with 1, 0 or -1 for every attribute"


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """What a table says."""

    path: Path
    names: tuple[str, ...]
    rows: Mapping[str, tuple[bool, ...]]
    """file name as it is in the table -> whether the image has each of the attributes, in the order of `names`"""


def may_be_a_table(path: Path) -> bool:
    """Whether a file is a CSV, or a text that begins with a number alone as CelebA's does."""
    if path.suffix.lower() != ".txt":
        return path.suffix.lower() == ".csv"
    with path.open("rb") as file:
        return file.readline(_LONGEST_COUNT).strip().isdigit()


def read_attribute_table(path: Path) -> AttributeTable:
    """Read a table in either form. Raises LayoutError, with the line, when it is no such table."""
    lines = _lines(path)
    if path.suffix.lower() == ".csv":
        cells = _cells(path, lines)
        heading, body = (cells[0][1][1:], cells[1:]) if cells else ([], [])
    else:
        body = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
        _check_count(path, body)
        heading, body = body[1][1], body[2:]
    names = tuple(name.strip() for name in heading)
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or not all(names) or twice is not None:
        wrong = f"the attribute {twice!r} twice" if twice else "an attribute without a name, or none"
        raise LayoutError(f"{path} has {wrong}", "a name of its own for every attribute", _FIX)
    return AttributeTable(path, names, _rows(path, names, body))


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > LARGEST:
        raise LayoutError(f"{path} has {path.stat().st_size} bytes", f"a table of at most {LARGEST} bytes", "split it")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LayoutError(f"{path} is not a text: {error}", "a table in UTF-8", "save it again as UTF-8") from error


def _cells(path: Path, lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    try:
        return [(number, row) for number, row in enumerate(csv.reader(lines), start=1) if row]
    except csv.Error as error:
        raise LayoutError(f"{path} is not a CSV: {error}", "file,name,name,...; a line an image", _FIX) from error


def _check_count(path: Path, body: Sequence[tuple[int, list[str]]]) -> None:
    """Check the first line of CelebA's form, which says how many images follow: a table may be cut off."""
    first = body[0][1] if body else []
    if len(first) != 1 or not first[0].isdigit() or len(body) < 2:  # noqa: PLR2004 - a count and the names
        raise LayoutError(
            found=f"{path} begins with {' '.join(first)[:60]!r}",
            expected="the number of images in the first line and the names of the attributes in the second",
            fix="write it so, or as CSV: file,name,name,... and a line for every image",
        )
    if int(first[0]) != len(body) - 2:
        raise LayoutError(
            found=f"{path} says that it has {first[0]} images, and has {len(body) - 2}",
            expected="as many lines as its first line says",
            fix="download it again, or correct the number",
        )


def _rows(path: Path, names: Sequence[str], body: Sequence[tuple[int, list[str]]]) -> Mapping[str, tuple[bool, ...]]:
    rows: dict[str, tuple[bool, ...]] = {}
    for number, (file, *values) in body:
        if len(values) != len(names):
            raise LayoutError(f"line {number} of {path} has {len(values)} values", f"{len(names)}: one each", _FIX)
        unknown = next((value for value in values if value.strip() not in _VALUES), None)
        if unknown is not None:
            raise LayoutError(f"line {number} of {path} has the value {unknown[:30]!r}", "1, 0 or -1", _FIX)
        if file in rows:
            raise LayoutError(f"line {number} of {path} is the second for {file!r}", "one line for an image", _FIX)
        rows[file] = tuple(_VALUES[value.strip()] for value in values)
    if not rows:
        raise LayoutError(f"{path} names no image", "a line for every image", _FIX)
    return rows
