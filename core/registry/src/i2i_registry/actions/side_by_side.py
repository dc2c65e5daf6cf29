"""What `grid` and `compare` have in common: images on the left, beside each what became of it, column by column."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from i2i_registry.actions.request import Attempt, Request, attempt
from i2i_registry.actions.sources import SourceImage
from i2i_registry.sheets.sheet import Cell, Grid, Row, fitted
from i2i_runtime.image.reading import read

ImageAttempt: TypeAlias = Attempt[Image.Image]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """What became of every image in one way: by one model, or in one look."""

    title: str
    cells: tuple[ImageAttempt, ...]
    head: Image.Image | None = None
    """an image that stands above it"""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Images, and columns of what became of them."""

    title: str
    sources: tuple[SourceImage, ...]
    columns: tuple[ResultColumn, ...]
    """first the images themselves"""

    @property
    def has_results(self) -> bool:
        """Whether there is anything to show."""
        return any(cell.error is None for column in self.columns[1:] for cell in column.cells)

    def by_image(self) -> Iterator[tuple[SourceImage, tuple[ImageAttempt, ...]]]:
        """Yield every image with its cells, of which the first is itself."""
        yield from zip(self.sources, zip(*(column.cells for column in self.columns), strict=True), strict=True)

    def grid(self) -> Grid:
        """All of it for a sheet or a page."""
        heads = tuple(column.head for column in self.columns)
        rows = [Row(os.fspath(source.place), _cells(*cells)) for source, cells in self.by_image()]
        return Grid(tuple(column.title for column in self.columns), (*([Row("", heads)] if any(heads) else []), *rows))


def files_read(sources: Sequence[SourceImage], requests: Sequence[Request]) -> list[Path]:
    """Return every file that is read for it, which it may not replace."""
    return [
        *(source.path for source in sources),
        *(file for request in requests for file in request.files_among_options()),
    ]


def read_images(sources: Sequence[SourceImage]) -> list[ImageAttempt]:
    """Every image, or why it cannot be read."""
    return [attempt(partial(read, source.path)) for source in sources]


def shrunk(cell: ImageAttempt, cell_px: int) -> ImageAttempt:
    """Return the same with its image at the size of a cell: results of any size wait in memory, at this size only."""
    return cell if cell.result is None else Attempt(fitted(cell.result, cell_px), seconds=cell.seconds)


def _cells(image: ImageAttempt, *results: ImageAttempt) -> tuple[Cell, ...]:
    if image.error is not None:  # its own cell says so; the others would only repeat it
        return (image.error.found, *(None for _ in results))
    return tuple(each.result if each.error is None else each.error.found for each in (image, *results))
