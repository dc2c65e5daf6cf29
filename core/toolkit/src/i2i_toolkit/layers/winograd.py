"""3x3 convolutions with a quarter of the multiplications (Winograd; Lavin and Gray 2016), for training on a CPU.

Four by four results of a 3x3 correlation need 36 products instead of 144 once both sides are transformed, and the sums
over channels become 36 matrix products. oneDNN, which torch uses on a CPU, has no such algorithm for float32; cuDNN
chooses one by itself. The result differs from the direct sum by rounding: about 3e-6 of the largest value.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

OUT = 4
"""Side of the squares that are computed at once."""

KERNEL = 3

TILE = OUT + KERNEL - 1
"""Side of what such a square depends on; squares lie side by side, tiles overlap."""

POINTS = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))
"""Where the polynomials are evaluated, beside infinity. Of the usual choices this one rounds least: a quarter of the
error of 0, 1, -1, 2, -2 with 256 channels."""

LEAST_CHANNELS = 64
"""With fewer, the transforms cost more than the products save."""


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution without padding that is fast to train on a CPU; elsewhere it is torch's own.

    Without gradients it is torch's own everywhere, so that an exported graph is compared with the plain operator.
    """

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, KERNEL, bias=bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h-2 w-2"]:  # noqa: A002 - nn.Conv2d's name
        """Two pixels less a side."""
        if not is_worthwhile(input, self.weight):
            return super().forward(input)
        result = cast("Tensor", _Winograd.apply(input, self.weight))
        return result if self.bias is None else result + self.bias[:, None, None]


def is_worthwhile(x: Float[Tensor, "b c h w"], weight: Float[Tensor, "k c 3 3"]) -> bool:
    """Whether a convolution is one that this algorithm makes faster, and can do: whole squares only."""
    return (
        torch.is_grad_enabled()
        and (x.requires_grad or weight.requires_grad)
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and all(side % OUT == KERNEL - 1 and side > KERNEL for side in x.shape[2:])
    )


class _Context(FunctionCtx):
    """What `forward` leaves for `backward`; torch's own type does not say what it holds."""

    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool]
    shape: torch.Size


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor) -> Tensor:
        inputs = (_of_tiles(x) @ _tiles(x, TILE)).unflatten(1, (x.shape[1], -1))  # [36, c, p] for p squares
        sums = torch.bmm(_kernels(weight), inputs)  # [36, k, p]
        # Twice as large as x; making them again would cost a seventh of the backward pass.
        ctx.save_for_backward(inputs, weight)
        ctx.shape = x.shape
        return _squares_side_by_side(_of_results(x) @ sums.flatten(1), x.shape, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's stub takes any context
        inputs, weight = ctx.saved_tensors
        wants_x, wants_weight = ctx.needs_input_grad
        of_sums = (_of_results(weight).T @ _tiles(gradients[0], OUT)).unflatten(1, (len(weight), -1))  # [36, k, p]
        of_x = of_weight = None
        if wants_x:
            of_tiles = torch.bmm(_kernels(weight).transpose(1, 2), of_sums)  # [36, c, p]
            of_x = _added_where_they_overlap(_of_tiles(weight).T @ of_tiles.flatten(1), ctx.shape)
        if wants_weight:
            of_kernels = torch.bmm(of_sums, inputs.transpose(1, 2))  # [36, k, c]
            of_weight = (_of_kernels(weight).T @ of_kernels.flatten(1)).T.reshape(weight.shape)
        return of_x, of_weight


def _kernels(weight: Tensor) -> Tensor:
    """Return the transformed kernels [36, k, c]."""
    return (_of_kernels(weight) @ weight.flatten(0, 1).flatten(1).T).unflatten(1, weight.shape[:2])


def _tiles(x: Tensor, side: int) -> Tensor:
    """Tiles of that side, one every four pixels, as columns: [side * side, c * p]."""
    tiles = x.unfold(2, side, OUT).unfold(3, side, OUT)  # [b, c, y, x, side, side]
    return tiles.permute(4, 5, 1, 0, 2, 3).reshape(side * side, -1)


def _squares_side_by_side(squares: Tensor, shape: torch.Size, channels: int) -> Tensor:
    """[16, k * p] to images [b, k, h - 2, w - 2], for an input of the shape [b, c, h, w]."""
    batch, _, height, width = shape
    down, across = (height - KERNEL + 1) // OUT, (width - KERNEL + 1) // OUT
    squares = squares.reshape(OUT, OUT, channels, batch, down, across)
    return squares.permute(3, 2, 4, 0, 5, 1).reshape(batch, channels, down * OUT, across * OUT)


def _added_where_they_overlap(tiles: Tensor, shape: torch.Size) -> Tensor:
    """Return the adjoint of cutting tiles: [36, c * p] to [b, c, h, w]."""
    batch, channels, height, width = shape
    columns = tiles.reshape(TILE * TILE, channels, batch, -1).permute(2, 1, 0, 3)
    return F.fold(columns.reshape(batch, channels * TILE * TILE, -1), (height, width), TILE, stride=OUT)


# --- The three transforms, each of both axes at once ------------------------------------------------------------------


def _of_results(like: Tensor) -> Tensor:
    return _transforms()[0].to(like)


def _of_kernels(like: Tensor) -> Tensor:
    return _transforms()[1].to(like)


def _of_tiles(like: Tensor) -> Tensor:
    return _transforms()[2].to(like)


@functools.cache
def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices [16, 36] for results, [36, 9] for kernels and [36, 36] for tiles (Toom and Cook, transposed).

    A polynomial with as many coefficients as a square has pixels a side, times one with three, is known from its values
    at six points, infinity being one. Correlation is the adjoint of that product.
    """
    at_infinity = [[Fraction(0)] * (count - 1) + [Fraction(1)] for count in (OUT, KERNEL)]
    results = [[point**power for power in range(OUT)] for point in POINTS] + at_infinity[:1]
    kernels = [[point**power / _product(point, POINTS) for power in range(KERNEL)] for point in POINTS] + at_infinity[
        1:
    ]
    others = [[other for other in POINTS if other != point] for point in POINTS]
    tiles = [[*_coefficients(roots), Fraction(0)] for roots in others] + [_coefficients(POINTS)]
    return _both_axes(results).T.contiguous(), _both_axes(kernels), _both_axes(tiles)


def _product(point: Fraction, points: tuple[Fraction, ...]) -> Fraction:
    return math.prod((point - other for other in points if other != point), start=Fraction(1))


def _coefficients(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Of the polynomial with these roots, the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [high - root * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _both_axes(matrix: list[list[Fraction]]) -> Tensor:
    values = torch.tensor([[float(value) for value in row] for row in matrix], dtype=torch.float64)
    return torch.kron(values, values)
