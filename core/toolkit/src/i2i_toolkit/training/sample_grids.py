"""Sample grids: rows of images under column titles, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from i2i_runtime.files.atomic import atomic_write

_GAP_PX = 4
_TITLE_PX = 16
_SMALLEST_PX = 128
"""images smaller than this are enlarged by a whole factor, so that the titles fit and people see something"""


def sample_grid(columns: Mapping[str, Float[Tensor, "n 3 h w"]]) -> Image.Image:
    """Column title -> images in [-1, 1], one row per sample; all columns have one number of rows."""
    cells = {title: [_image(tensor) for tensor in images] for title, images in columns.items()}
    width = max(cell.width for column in cells.values() for cell in column)
    height = max(cell.height for column in cells.values() for cell in column)
    rows = max(len(column) for column in cells.values())
    size = (len(cells) * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX + _TITLE_PX)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for i, (title, column) in enumerate(cells.items()):
        left = _GAP_PX + i * (width + _GAP_PX)
        pen.text((left, _GAP_PX), title, fill="black", font=font)
        for j, cell in enumerate(column):
            sheet.paste(cell, (left, _TITLE_PX + _GAP_PX + j * (height + _GAP_PX)))
    return sheet


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
