"""One image at every pair of a vertical and a horizontal scale, as InGAN's paper shows what retargeting does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_registry.actions.request import Request
from i2i_registry.sheets.collage import HeightWidth, check_collage, draw_collage
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.result_size import result_size
from i2i_runtime.errors import UsageError
from i2i_runtime.image import fitting
from i2i_runtime.image.reading import read
from i2i_runtime.kinds.size import SCALE
from i2i_runtime.schema.operations import Operation

SCALES = (2.0, 1.25, 1.0, 0.66, 0.33)
"""Those of the paper."""


@dataclass(frozen=True, slots=True)
class CollagePlan:
    """What a collage shows; where both scales are 1 stands the image itself."""

    image: Path
    request: Request
    scales: tuple[float, ...]
    """of rows and of columns"""
    cells: tuple[tuple[HeightWidth, ...], ...]
    """a row for each vertical scale, in it a cell for each horizontal one"""


def can_retarget(operation: Operation) -> bool:
    """Whether it makes another size of an image."""
    return operation.main_image is not None and operation.size is not None


def read_scales(text: str) -> tuple[float, ...]:
    """Return the numbers of "2,1.25,1". Raises UsageError for what is no list of factors, or repeats one."""
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


def plan_collage(image: Path, request: Request, scales: Sequence[float]) -> CollagePlan:
    """Look at the sizes of all cells before any is made.

    Raises UsageError for an operation without a size, one of the sizes that it cannot make, and a sheet that is too
    large; ImageError for an image that cannot be read.
    """
    operation = request.operation
    if not can_retarget(operation):
        raise UsageError(
            found=f"{operation.name} makes no image of another size",
            expected="an operation that takes an image, and a size or a scale",
            fix="i2i-registry inspect BUNDLE shows what its operations take",
        )
    check_shown(operation)
    source = read(image)
    own = _as_the_model_sees_it(source, request)
    sizes = {
        pair: (own.height, own.width)
        if pair == (1, 1)
        else result_size(operation, source, {**request.options, SCALE: pair}, fit=request.fit)
        for pair in product(scales, repeat=2)
    }
    cells = tuple(tuple(sizes[vertical, horizontal] for horizontal in scales) for vertical in scales)
    check_collage(cells)
    return CollagePlan(image, replace(request, seed=request.seed or 0), tuple(scales), cells)


def make_collage(bundle: Bundle, plan: CollagePlan) -> Image.Image:
    """Draw the collage: every cell is what the operation makes of the image at its scales.

    Raises what `Bundle.run` raises.
    """
    source = read(plan.image)

    def cell(pair: tuple[float, float]) -> Image.Image:
        if pair == (1, 1):
            return _as_the_model_sees_it(source, plan.request)
        return plan.request.with_options({SCALE: pair}).image(bundle, source)

    return draw_collage([[cell((vertical, horizontal)) for horizontal in plan.scales] for vertical in plan.scales])


def _as_the_model_sees_it(source: Image.Image, request: Request) -> Image.Image:
    """Return the image at the size that the model gets, without what it was padded with."""
    main = request.main_image
    placed = fitting.fit_image(np.asarray(source), main, request.fit or main.fit)
    return Image.fromarray(np.rint(placed.crop(placed.pixels)).astype(np.uint8))
