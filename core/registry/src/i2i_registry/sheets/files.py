"""A grid of images as the file that the user named: one image, or one page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from i2i_registry.output_paths import check_file
from i2i_registry.sheets.html import html_page
from i2i_registry.sheets.sheet import Grid, check_sheet_size, draw_sheet
from i2i_runtime.files.atomic import write_text
from i2i_runtime.image.writing import SAVE_FORMATS, save_image

_PAGE = ".html"


def check_sheet_file(out: Path, columns: int, rows: int, cell_px: int, inputs: Iterable[Path]) -> None:
    """Raise UsageError when so many cells cannot become `out`, or `out` is one of the inputs; before the work."""
    check_file(out, [_PAGE, *SAVE_FORMATS], inputs)
    if out.suffix.lower() != _PAGE:
        check_sheet_size(columns, rows, cell_px)


def write_sheet(out: Path, title: str, grid: Grid, cell_px: int) -> None:
    """Draw the grid, or make it a page of that title; the folder is made where there is none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == _PAGE:
        write_text(out, html_page(title, grid))
    else:
        save_image(draw_sheet(grid, cell_px), out)
