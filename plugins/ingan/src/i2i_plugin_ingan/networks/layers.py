"""The layers of both networks: convolutions with spectral norm, and a norm by the statistics of one image.

Shapes: b batch, c and k channels in and out, h and w height and width.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import instance_norm

LEAK = 0.2
"""Negative slope of every activation."""

INITIAL_GAIN = 0.01
"""Of the initial weights (Xavier normal) of every convolution."""

SMALLEST_NORM = 1e-12


class SpectralConv(nn.Module):
    """A convolution without padding whose kernel is divided by its largest singular value.

    That is estimated by one power iteration (Miyato et al. 2018) from `direction`, in every mode: the authors' code
    never leaves the training mode. Only in training `direction` moves. After `fold` the kernel is an ordinary one.
    """

    direction: Tensor

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.register_buffer("direction", F.normalize(torch.randn(channels_out), dim=0, eps=SMALLEST_NORM))
        self.stride = stride
        self.folded = False
        nn.init.xavier_normal_(self.weight, gain=INITIAL_GAIN)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Convolve with the normalised kernel."""
        return F.conv2d(x, self.kernel(), self.bias, self.stride)

    def kernel(self) -> Float[Tensor, "k c y x"]:
        """Return the weight over its largest singular value, u.(W v); the gradient does not reach u and v."""
        if self.folded:
            return self.weight
        # Computed in float32 under autocast too (which knows no meta device).
        place = self.weight.device.type
        with nullcontext() if place == "meta" else torch.autocast(place, enabled=False):
            rows = self.weight.flatten(1)
            # New tensors, not the buffer: several passes may wait for one backward, each with its own u and v.
            inward = F.normalize(rows.detach().T @ self.direction, dim=0, eps=SMALLEST_NORM)
            along = rows @ inward
            outward = F.normalize(along.detach(), dim=0, eps=SMALLEST_NORM)
            if self.training:
                self.direction.copy_(outward)
            return self.weight / torch.dot(outward, along)

    @torch.no_grad()
    def fold(self) -> None:
        """Replace the weight by the normalised kernel, for good."""
        self.weight.copy_(self.kernel())
        self.folded = True


def conv_after_upsampling(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "k c 3 3"], bias: Float[Tensor, " k"]
) -> Float[Tensor, "b k 2*h 2*w"]:
    """Return a 3x3 convolution, mirrored at the borders, of `x` enlarged to twice its size by nearest neighbour.

    Four neighbours of the enlarged map show at most 2x2 different values of `x`, so each of the four output phases is a
    2x2 convolution of `x`: 4/9 of the multiplications, and no enlarged input in memory. Mirroring the enlarged map
    repeats the border of `x`.
    """
    phases = [phase for row in _taps(weight, 2) for phase in _taps(row, 3)]
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    # [b, 4k, h+1, w+1]
    together = F.conv2d(padded, torch.stack(phases, dim=1).flatten(0, 1), bias.repeat_interleave(len(phases)))
    # Phases start with the odd one, so the shuffled map begins one place early and ends one late.
    return F.pixel_shuffle(together, 2)[:, :, 1:-1, 1:-1]


def _taps(kernel: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps on an upsampled map as taps on the map itself: two at odd places, and two others at even ones."""
    first, middle, last = kernel.split(1, dim)
    return torch.cat([first + middle, last], dim), torch.cat([first, middle + last], dim)


class ImageNorm(nn.BatchNorm2d):
    """Batch norm of a training on one image; at any other time every image is normalised by itself.

    With one image in the batch the two are the same, and that is how the authors' code runs. The running statistics
    are kept as theirs are, and used by nothing.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:  # noqa: A002 - nn.BatchNorm2d's name
        """Normalise; statistics in float32 at least."""
        if self.training:
            return super().forward(input)
        return instance_norm(input, self.weight, self.bias, self.eps)
