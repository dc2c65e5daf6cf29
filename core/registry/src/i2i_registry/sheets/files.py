"""A grid of images as the file that the user named: one image, or one page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.output_paths import check_file
from i2i_registry.sheets.html import html_page
from i2i_registry.sheets.sheet import Grid, check_sheet_size, draw_sheet
from i2i_runtime.files.atomic import write_text
from i2i_runtime.image.writing import SAVE_FORMATS, save_image

_PAGE = ".html"


@dataclass(frozen=True, slots=True)
class SheetFile:
    """The file that a sheet becomes, and the longer side of its cells (pixels)."""

    path: Path
    cell_px: int

    def check(self, columns: int, rows: int, inputs: Iterable[Path]) -> None:
        """Raise UsageError when so many cells cannot become the file, or it is one of the inputs; before the work."""
        check_file(self.path, [_PAGE, *SAVE_FORMATS], inputs)
        if self.path.suffix.lower() != _PAGE:
            check_sheet_size(columns, rows, self.cell_px)

    def write(self, title: str, grid: Grid) -> None:
        """Draw the grid, or make it a page of that title; the folder is made where there is none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix.lower() == _PAGE:
            write_text(self.path, html_page(title, grid))
        else:
            save_image(draw_sheet(grid, self.cell_px), self.path)
