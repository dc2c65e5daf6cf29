"""Sample grids: rows of images under column titles, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from i2i_registry.sheets.sheet import MAX_SIDE, MIN_CELL_PX, Grid, Row, draw_sheet
from i2i_runtime.files.atomic import atomic_write

_SMALLEST_PX = 128
"""images smaller than this are enlarged by a whole factor, so that the titles fit and people see something"""


def sample_grid(columns: Mapping[str, Float[Tensor, "n 3 h w"]]) -> Image.Image:
    """Column title -> images in [-1, 1], one row per sample; all columns have one number of rows."""
    cells = [[_image(tensor) for tensor in images] for images in columns.values()]
    largest = max(max(cell.size) for column in cells for cell in column)
    room = MAX_SIDE // (max(len(cells), len(cells[0])) + 1)  # a share for titles and gaps
    rows = [Row("", row) for row in zip(*cells, strict=True)]
    return draw_sheet(Grid(tuple(columns), tuple(rows)), min(largest, max(room, MIN_CELL_PX)))


def save_grid(columns: Mapping[str, Float[Tensor, "n 3 h w"]], path: Path) -> None:
    """Write `sample_grid(columns)` as a PNG, whole or not at all."""
    with atomic_write(path) as partial:
        sample_grid(columns).save(partial, format="PNG")


def _image(tensor: Float[Tensor, "3 h w"]) -> Image.Image:
    steps = (tensor.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    pixels = steps.round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    factor = -(-_SMALLEST_PX // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
