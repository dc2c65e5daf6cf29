"""Images of different sizes in rows and columns, without titles."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from i2i_registry.sheets.sheet import MAX_SIDE, places
from i2i_runtime.errors import UsageError
from i2i_runtime.image.reading import MAX_PIXELS

MARGIN_PX = 8
_WHITE = (255, 255, 255)

HeightWidth = tuple[int, int]


def check_collage(cells: Sequence[Sequence[HeightWidth]]) -> None:
    """Raise UsageError when cells of these sizes make too large an image; worth asking before hours of work."""
    (_, width), (_, height) = _lefts(cells), _tops(cells)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UsageError(
            found=f"a collage of {width}x{height} pixels (width x height)",
            expected=f"at most {MAX_SIDE:,} a side and {MAX_PIXELS:,} in all",
            fix="smaller or fewer scales, or a smaller image",
        )


def draw_collage(cells: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows and columns of images in their own sizes on white, each in the upper left corner of its place."""
    sizes = [[(cell.height, cell.width) for cell in row] for row in cells]
    (lefts, width), (tops, height) = _lefts(sizes), _tops(sizes)
    sheet = Image.new("RGB", (width, height), _WHITE)
    for row, top in zip(cells, tops, strict=True):
        for cell, left in zip(row, lefts, strict=True):
            sheet.paste(cell.convert("RGB"), (left, top))
    return sheet


def _lefts(cells: Sequence[Sequence[HeightWidth]]) -> tuple[list[int], int]:
    widths = [max(width for _, width in column) for column in zip(*cells, strict=True)]
    return places(widths, MARGIN_PX, MARGIN_PX)


def _tops(cells: Sequence[Sequence[HeightWidth]]) -> tuple[list[int], int]:
    return places([max(height for height, _ in row) for row in cells], MARGIN_PX, MARGIN_PX)
