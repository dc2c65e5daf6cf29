"""Images in a grid with titles: as a record that several renderers share, and drawn as one image.

Rows and columns mean what the caller says: inputs x models, sources x references, one input x eight styles.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from i2i_runtime.errors import UsageError
from i2i_runtime.image.pixels import IMAGE_MODES, RGB
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.operations import ImageOutput, Operation

Cell: TypeAlias = Image.Image | str | None
"""An image, a sentence in its place, or nothing."""

MAX_SIDE = 16_383
"""Largest side of a drawn sheet (pixels): what every format we write can hold; WebP sets the limit."""

MIN_CELL_PX = 64
"""Smallest side of a cell (pixels); in smaller ones no sentence can be read."""

_FONT_PX = 14
_LINE_PX = 18
_GAP_PX = 8
_HEADER_LINES = 8
_PAPER, _INK, _QUIET, _PANEL = "#ffffff", "#1a1a1a", "#a02020", "#eeeeee"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of cells under one title."""

    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Titled columns and rows. A title may have several lines. Raises ValueError when a row has other cells."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"row {row.title!r} has {len(row.cells)} cells for {len(self.columns)} columns")


def check_shown(operation: Operation) -> None:
    """Raise UsageError for an operation on images that nobody can look at, for they have other channels."""
    counts = [image.channels for image in operation.of(ImageInput)]
    counts += [value.channels or RGB for value in operation.outputs if isinstance(value, ImageOutput)]
    strange = [count for count in counts if count not in IMAGE_MODES]
    if strange:
        raise UsageError(
            found=f"{operation.name} works on images of {strange[0]} channels",
            expected="images of 1, 3 or 4 channels, which a sheet or an animation can show",
            fix="i2i-registry run saves them as .tif or .npy",
        )


def check_sheet_size(columns: int, rows: int, cell_px: int) -> None:
    """Whether a sheet of so many cells can be drawn; worth asking before hours of work. Raises UsageError."""
    width = _GAP_PX + cell_px // 2 + columns * (cell_px + _GAP_PX)
    height = 2 * _GAP_PX + _HEADER_LINES * _LINE_PX + rows * (cell_px + _GAP_PX)
    if max(width, height) > MAX_SIDE:
        raise UsageError(
            found=f"{rows} rows of {columns} cells of {cell_px} pixels: up to {width}x{height} pixels",
            expected=f"at most {MAX_SIDE} a side in one image",
            fix="smaller cells, fewer images, or a page: -o OUT.html",
        )


def fitted(image: Image.Image, cell_px: int) -> Image.Image:
    """Return the image with its longer side made `cell_px`, its aspect ratio kept.

    Results of any resolution compare.
    """
    scale = cell_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def draw_sheet(grid: Grid, cell_px: int = 256) -> Image.Image:
    """Draw the grid, each image at most `cell_px` (>= MIN_CELL_PX) a side; a row is as high as its highest cell.

    Row titles stand on the left. Pillow's own font knows ASCII: accents are left out, other letters become "?".

    Returns:
        An image of mode "RGB".

    Raises:
        UsageError: the sheet would be larger than `MAX_SIDE`.
    """
    check_sheet_size(len(grid.columns), len(grid.rows), cell_px)
    images = [[fitted(c, cell_px) if isinstance(c, Image.Image) else c for c in row.cells] for row in grid.rows]
    titles = [_wrap(row.title, cell_px // 2, cell_px // _LINE_PX) for row in grid.rows]
    headers = [_wrap(title, cell_px, _HEADER_LINES) for title in grid.columns]
    heights = [_height(cells, title, cell_px) for cells, title in zip(images, titles, strict=True)]
    gutter = max((_width(line) for title in titles for line in title), default=0)
    left = _GAP_PX + (gutter + _GAP_PX if gutter else 0)
    top = _GAP_PX + _LINE_PX * max((len(header) for header in headers), default=0)

    lefts, right = places([cell_px] * len(headers), left, _GAP_PX)
    tops, bottom = places(heights, top, _GAP_PX)
    sheet = Image.new("RGB", (right, max(bottom, top + _GAP_PX)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for x, header in zip(lefts, headers, strict=True):
        _write(pen, (x, _GAP_PX // 2), header, _INK)
    for cells, title, y, height in zip(images, titles, tops, heights, strict=True):
        _write(pen, (_GAP_PX, y), title, _INK)
        for x, cell in zip(lefts, cells, strict=True):
            _draw_cell(sheet, pen, (x, y, cell_px, height), cell)
    return sheet


def places(lengths: Sequence[int], start: int, gap: int) -> tuple[list[int], int]:
    """Where things of these lengths begin that follow each other from `start` on, and where the last gap ends."""
    starts: list[int] = []
    for length in lengths:
        starts.append(start)
        start += length + gap
    return starts, start


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], cell: Cell) -> None:
    """Into `box` (left, top, width, height): an image centred, a sentence on a panel."""
    left, top, width, height = box
    if isinstance(cell, Image.Image):
        sheet.paste(cell, (left + (width - cell.width) // 2, top + (height - cell.height) // 2))
    elif cell is not None:
        pen.rectangle((left, top, left + width - 1, top + height - 1), fill=_PANEL)
        lines = _wrap(cell, width - 2 * _GAP_PX, (height - 2 * _GAP_PX) // _LINE_PX)
        _write(pen, (left + _GAP_PX, top + _GAP_PX), lines, _QUIET)


def _height(cells: list[Cell], title: list[str], cell_px: int) -> int:
    """Of a row: its highest image, or what its title and its sentences need; at most `cell_px`."""
    heights = [len(title) * _LINE_PX]
    for cell in cells:
        if isinstance(cell, Image.Image):
            heights.append(cell.height)
        elif cell is not None:
            most = (cell_px - 2 * _GAP_PX) // _LINE_PX
            heights.append(2 * _GAP_PX + _LINE_PX * len(_wrap(cell, cell_px - 2 * _GAP_PX, most)))
    return max(heights)


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: list[str], colour: str) -> None:
    for number, line in enumerate(lines):
        pen.text((place[0], place[1] + number * _LINE_PX), line, fill=colour, font=_font())


def _wrap(text: str, width_px: int, most: int) -> list[str]:
    """Return the text in at most `most` lines of `width_px`: broken at spaces, inside a word where there is none."""
    lines: list[str] = []
    for paragraph in _drawable(text).splitlines():
        rest = paragraph.strip()
        while rest and len(lines) <= most:
            end = max(1, bisect_right(range(1, len(rest) + 1), width_px, key=lambda n: _width(rest[:n])))
            if end < len(rest):
                end = rest.rfind(" ", 0, end + 1) + 1 or end
            lines.append(rest[:end].rstrip())
            rest = rest[end:].lstrip()
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-3] + "..."] if most > 0 else []
    return lines


def _drawable(text: str) -> str:
    """Return the text in letters that the font has, which are those of ASCII; a text longer than any cell is cut."""
    plain = unicodedata.normalize("NFKD", text[:1000])
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(
        letter if letter == "\n" or (letter.isascii() and letter.isprintable()) else "?" for letter in letters
    )


def _width(text: str) -> int:
    return round(_font().getlength(text))


@cache  # decoding it takes as long as drawing a line
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)
