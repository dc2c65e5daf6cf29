"""How large a result is to be, and which shapes of noise maps follow from it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import MAX_PIXELS
from i2i_runtime.kinds.spatial import NoiseInput, SizeInput

Factor = Fraction | float
Pair = tuple[int, int]

SIZE, SCALE = "size", "scale"
"""The two ways in which a caller says it."""

_PAIR = re.compile(r"\s*([^\sx]+)\s*x\s*([^\sx]+)\s*")
_SIZE_FORM = "height and width in pixels: 128x300 in words, (128, 300) in Python"
_SCALE_FORM = "a factor, or one for each axis (vertical, horizontal): 1.5 or 1x2 in words, (1, 2) in Python"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The size of one result, pixels, and how that compares with the own size."""

    height: int
    width: int
    vertical: Factor = 1.0
    horizontal: Factor = 1.0


def wanted_size(value: SizeInput, options: Mapping[str, object], own: Pair) -> Wanted:
    """What `size` or `scale` among a call's options ask for; the own size where neither is there.

    Raises OptionError when both are given, or the size is none that the rule accepts, or absurdly large.
    """
    size, scale = options.get(SIZE), options.get(SCALE)
    if size is not None and scale is not None:
        raise OptionError(found="size and scale", expected="one of the two")
    if size is not None:
        height, width = read_size(size)
        _check_pixels(height, width)
        wanted = Wanted(height, width, Fraction(height, own[0]), Fraction(width, own[1]))
    else:
        factors = (1.0, 1.0) if scale is None else read_scale(scale)
        _check_pixels(own[0] * factors[0], own[1] * factors[1])
        height, width = (_down(rounded(value, *pair), value.multiple) for pair in zip(own, factors, strict=True))
        wanted = Wanted(height, width, *factors)
    if not value.accepts(wanted.height, wanted.width):
        raise OptionError(
            found=f"a result of {wanted.height}x{wanted.width} pixels (height x width)",
            expected=value.describe(),
            fix=f"the own size is {own[0]}x{own[1]}",
        )
    return wanted


def _check_pixels(height: float, width: float) -> None:
    if height * width > MAX_PIXELS:
        raise OptionError(
            found=f"a result of {height:.6g}x{width:.6g} pixels (height x width)",
            expected=f"at most {MAX_PIXELS:,} pixels in all",
        )


def rounded(value: SizeInput | None, length: int, factor: Factor) -> int:
    """A length times a factor, rounded as the size input says."""
    return round(length * factor) if value is None or value.rounding == "nearest" else math.floor(length * factor)


def noise_shape(noise: NoiseInput, value: SizeInput | None, wanted: Wanted | None) -> tuple[int, int, int]:
    """Channels, height and width of a noise map for a result of the wanted size."""
    vertical, horizontal = (wanted.vertical, wanted.horizontal) if wanted else (1.0, 1.0)
    height, width = rounded(value, noise.height, vertical), rounded(value, noise.width, horizontal)
    return noise.channels, height + noise.border, width + noise.border


def read_size(given: object) -> Pair:
    """Height and width from "128x300" or (128, 300). Raises OptionError for anything else."""
    parts = _parts(given)
    if len(parts) != 2 or any(part != int(part) or part < 1 for part in parts):  # noqa: PLR2004 - the two axes
        raise OptionError(found=f"size={given!r}", expected=_SIZE_FORM)
    return int(parts[0]), int(parts[1])


def read_scale(given: object) -> tuple[float, float]:
    """Vertical and horizontal factor from 1.5, "1.5", "1x2" or (1, 2). Raises OptionError for anything else."""
    parts = _parts(given)
    if len(parts) not in (1, 2) or any(part <= 0 for part in parts):
        raise OptionError(found=f"scale={given!r}", expected=_SCALE_FORM)
    return parts[0], parts[-1]


def _parts(given: object) -> list[float]:
    """The numbers of a value; none where it is of no form that we read."""
    if isinstance(given, str):
        match = _PAIR.fullmatch(given)
        several: Sequence[object] = match.groups() if match else [given]
    else:
        several = cast("Sequence[object]", given) if isinstance(given, (tuple, list)) else [given]
    numbers = [_number(each) for each in several]
    return numbers if all(math.isfinite(number) for number in numbers) else []


def _number(given: object) -> float:
    """NaN for what is none."""
    try:
        return math.nan if isinstance(given, bool) else float(cast("float", given))
    except (TypeError, ValueError):
        return math.nan


def _down(length: int, multiple: int) -> int:
    return length // multiple * multiple
