"""One image at every pair of a vertical and a horizontal scale, as InGAN's paper shows what retargeting does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from i2i_registry.sheets.sheet import MAX_SIDE, check_shown
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import Option, main_image, result_size
from i2i_runtime.call.sizes import SCALE
from i2i_runtime.errors import UsageError
from i2i_runtime.image import fitting
from i2i_runtime.image.reading import MAX_PIXELS, read
from i2i_runtime.schema.operations import Fit, ImageInput, Operation

SCALES = (2.0, 1.25, 1.0, 0.66, 0.33)
"""Those of the paper."""

MARGIN_PX = 8
_WHITE = (255, 255, 255)

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every cell."""

    operation: Operation
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    """values of the operation's other inputs"""
    fit: Fit | None = None
    seed: int = 0


def can_retarget(operation: Operation) -> bool:
    """Whether it makes another size of an image."""
    return main_image(operation) is not None and operation.size is not None


def read_scales(text: str) -> tuple[float, ...]:
    """The numbers of "2,1.25,1". Raises UsageError for what is no list of factors, or repeats one."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or len(set(scales)) < len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise UsageError(
            found=f"the scales {text!r}",
            expected="different factors above 0, with commas between them",
            fix=f"--scales {','.join(f'{scale:g}' for scale in SCALES)}",
        )
    return scales


def plan(image: Path, scales: Sequence[float], settings: Settings) -> list[list[Size]]:
    """Height and width of each cell: a row for each vertical scale, in it a cell for each horizontal one.

    Raises UsageError for an operation without a size, one of the sizes that it cannot make, and a sheet that is too
    large; ImageError for an image that cannot be read.
    """
    operation = settings.operation
    if not can_retarget(operation):
        raise UsageError(
            found=f"{operation.name} makes no image of another size",
            expected="an operation that takes an image, and a size or a scale",
            fix="i2i-registry inspect BUNDLE shows what its operations take",
        )
    check_shown(operation)
    source = read(image)
    sizes = {
        pair: _height_width(_fitted(source, settings))
        if pair == (1, 1)
        else result_size(operation, source, {**settings.options, SCALE: pair}, fit=settings.fit)
        for pair in product(scales, repeat=2)
    }
    rows = [[sizes[vertical, horizontal] for horizontal in scales] for vertical in scales]
    _check_sheet(*_sheet(rows)[2])
    return rows


def make(bundle: Bundle, image: Path, scales: Sequence[float], settings: Settings) -> Image.Image:
    """The collage: at 1 x 1 the image itself, every other cell what the operation makes of it at that scale.

    Raises what `Bundle.run` raises.
    """
    source = read(image)
    cells = [[_cell(bundle, source, (vertical, horizontal), settings) for horizontal in scales] for vertical in scales]
    return arrange(cells)


def arrange(cells: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows and columns of images in their own sizes on white, each in the upper left corner of its place."""
    lefts, tops, (width, height) = _sheet([[_height_width(cell) for cell in row] for row in cells])
    sheet = Image.new("RGB", (width, height), _WHITE)
    for row, top in zip(cells, tops, strict=True):
        for cell, left in zip(row, lefts, strict=True):
            sheet.paste(cell.convert("RGB"), (left, top))
    return sheet


def _cell(bundle: Bundle, source: Image.Image, pair: tuple[float, float], settings: Settings) -> Image.Image:
    if pair == (1, 1):
        return _fitted(source, settings)
    options = {**settings.options, SCALE: pair}
    # Inputs are named by the bundle; none may have the name of a general argument.
    made = bundle.run(settings.operation.name, source, seed=settings.seed, fit=settings.fit, **options)  # pyright: ignore[reportArgumentType]
    return cast("Image.Image", made)


def _fitted(source: Image.Image, settings: Settings) -> Image.Image:
    """The image as the model sees it, without what it was padded with."""
    main = cast("ImageInput", main_image(settings.operation))
    placed = fitting.fit(np.asarray(source), main, settings.fit or main.fit)
    return Image.fromarray(np.rint(placed.crop(placed.pixels)).astype(np.uint8))


def _height_width(image: Image.Image) -> Size:
    return image.height, image.width


def _sheet(sizes: Sequence[Sequence[Size]]) -> tuple[list[int], list[int], Size]:
    """Left of each column, top of each row, and width and height of all, of cells of these heights and widths."""
    lefts, right = _places([max(row[index][1] for row in sizes) for index in range(len(sizes[0]))])
    tops, bottom = _places([max(height for height, _ in row) for row in sizes])
    return lefts, tops, (right, bottom)


def _places(lengths: Sequence[int]) -> tuple[list[int], int]:
    starts, end = list[int](), MARGIN_PX
    for length in lengths:
        starts.append(end)
        end += length + MARGIN_PX
    return starts, end


def _check_sheet(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UsageError(
            found=f"a collage of {width}x{height} pixels (width x height)",
            expected=f"at most {MAX_SIDE:,} a side and {MAX_PIXELS:,} in all",
            fix="smaller or fewer scales, or a smaller image",
        )
