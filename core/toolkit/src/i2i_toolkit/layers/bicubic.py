"""The bicubic resize of SinGAN and its successors, which is part of their networks.

Between two scales of a pyramid the image is cut off to 8 bits and resized like this, so a network trained with it
gives other images with another. It is a resize of 8-bit levels in float64 (Keys' kernel, a = -0.5, stretched where
the image shrinks). Two of its habits are accidents that trained networks have learned to live with: levels are
truncated, not rounded; and taps over the right and bottom border are mirrored, while those over the left and top border
are left out.

Both axes are matrix products, whose matrices are computed from the sizes, so that it can be exported with free sizes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_Symbol = int if TYPE_CHECKING else torch.SymInt

MapSide = int | _Symbol
"""Height or width of a map, pixels. While a graph is exported it is a symbol, which torch's annotations call an int."""

MapSize = tuple[MapSide, MapSide]
"""Height and width of a map, pixels."""

LEVELS = 255
"""the largest 8-bit level"""


def scaled_side(side: int, factor: float) -> int:
    """Pixels of a side after resizing by `factor`: rounded up, in float64, which often gives one more than expected."""
    return math.ceil(side * factor)


def resample(image: Float[Tensor, "b c h w"], size: MapSize, factors: tuple[float, float]) -> Float[Tensor, "b c y x"]:
    """Return the image, in [-1, 1] and truncated to 8 bits, resized by `factors`.

    The first rows and columns of the result.

    `size` says how many: those that the factors would give, or fewer or more. No gradient passes.
    """
    resized = resample_levels(eight_bit_levels(image), size, factors)
    return ((resized / LEVELS).float() - 0.5).mul(2).clamp(-1, 1)


def resample_by(image: Float[Tensor, "b c h w"], factor: float) -> Float[Tensor, "b c y x"]:
    """Return the image, in [-1, 1], resized by one factor, whole. A factor of 1 truncates it to 8 bits."""
    height, width = image.shape[-2:]
    return resample(image, (scaled_side(height, factor), scaled_side(width, factor)), (factor, factor))


def resample_to(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c y x"]:
    """Return the image, in [-1, 1], resized to `size` = (height, width)."""
    return resample(image, size, (size[0] / image.shape[-2], size[1] / image.shape[-1]))


def resample_within(image: Float[Tensor, "b c h w"], factor: float, size: tuple[int, int]) -> Float[Tensor, "b c y x"]:
    """Return the image resized by a factor, and then to `size` = (height, width) if that is another one.

    A training takes its image so: the factor decides the size of a new network's image, trained weights have their own.
    """
    resized = resample_by(image, factor)
    return resized if resized.shape[-2:] == size else resample_to(resized, size)


def eight_bit_levels(image: Float[Tensor, "b c h w"]) -> Float64[Tensor, "b c h w"]:
    """Return the 8-bit levels of an image in [-1, 1].

    Truncated: 63 of the 256 levels come back one lower than they went.
    """
    return (image.detach().float().add(1) / 2).clamp(0, 1).mul(LEVELS).floor().double()


def resample_levels(
    levels: Float64[Tensor, "b c h w"], size: MapSize, factors: tuple[float, float]
) -> Float64[Tensor, "b c y x"]:
    """Numbers between 0 and 255 resized; the kernel overshoots, so the result can leave that range."""
    # The vertical factor alone decides whether the kernel is stretched, and it is so along both axes.
    shrinks = factors[0] < 1
    rows, columns = (
        bicubic_matrix(length, samples, factor, stretch=1 / factor if shrinks else 1.0, device=levels.device)
        for length, samples, factor in zip(levels.shape[-2:], size, factors, strict=True)
    )
    return rows @ levels @ columns.mT


def bicubic_matrix(
    length: MapSide, samples: MapSide, factor: float, *, stretch: float, device: torch.device
) -> Float64[Tensor, "samples length"]:
    """Return the matrix that resizes `length` values by `factor`, and gives the first `samples` of the result.

    `stretch` is how much wider than 4 values the kernel is.
    """
    # Positions count from 1, at the middle of a value.
    wanted = torch.arange(1, samples + 1, dtype=torch.float64, device=device) / factor + 0.5 * (1 - 1 / factor)
    # The line and behind it its mirror image; nothing before it, and what is missing there the others make up for.
    positions = torch.arange(1, 2 * length + 1, dtype=torch.float64, device=device)
    weights = _cubic((wanted[:, None] - positions) / stretch)
    total = weights.sum(dim=1, keepdim=True)
    weights = weights / torch.where(total == 0, 1.0, total)
    return weights[:, :length] + weights[:, length:].flip(1)


def _cubic(x: Float64[Tensor, "m n"]) -> Float64[Tensor, "m n"]:
    """Keys' cubic convolution kernel with a = -0.5, of width 4."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))  # noqa: PLR2004 - the kernel's reach
