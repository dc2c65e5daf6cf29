"""The face alignment network that StarGAN v2 uses for people: 98 landmarks as heat maps. It is not trained here.

Its architecture is that of Wang, Bo and Li (Adaptive Wing Loss, ICCV 2019, arXiv:1904.07399), with one hourglass.

Shapes: b batch, c and k channels, h and w height and width at this depth.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_SIDE = 256
"""Pixels; images are resized to it."""

MAP_SIDE = 64
"""Side of the heat maps."""

LANDMARKS = 98

EPSILON = 1e-5
"""Added to every variance (release)."""

DEPTH = 4
"""How often the hourglass downsamples."""

UNSEEN = -1.0
"""Heat of a network that nobody has trained: it sees no landmark, so that its masks are empty."""


class FixedNorm(nn.Module):
    """Batch norm by stored statistics, in training too."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise, scale and shift."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=EPSILON)


class ConvBlock(nn.Module):
    """Three pre-activated 3x3 convolutions in a row, of which each gives a part of the result."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half, quarter = channels_out // 2, channels_out // 4
        sizes = (channels_in, half, quarter), (half, quarter, quarter)
        self.norms = nn.ModuleList([FixedNorm(channels) for channels in sizes[0]])
        self.convs = nn.ModuleList([nn.Conv2d(c, k, 3, padding=1, bias=False) for c, k in zip(*sizes, strict=True)])
        changes = channels_in != channels_out
        self.shortcut_norm = FixedNorm(channels_in) if changes else nn.Identity()
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False) if changes else None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Return the parts side by side, beside the shortcut."""
        parts: list[Tensor] = []
        hidden = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            hidden = conv(F.relu(norm(hidden)))
            parts.append(hidden)
        shortcut = x if self.shortcut is None else self.shortcut(F.relu(self.shortcut_norm(x)))
        return torch.cat(parts, dim=1) + shortcut


class Hourglass(nn.Module):
    """One level: the map itself, beside what the levels below make of its half."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.beside = ConvBlock(channels, channels)
        self.before = ConvBlock(channels, channels)
        self.inside = Hourglass(channels, depth - 1) if depth > 1 else ConvBlock(channels, channels)
        self.after = ConvBlock(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine at all scales."""
        below = self.after(self.inside(self.before(F.avg_pool2d(x, 2))))
        return self.beside(x) + F.interpolate(below, scale_factor=2.0, mode="nearest")


class CoordinateConv(nn.Module):
    """A convolution that also sees where it is: row and column in [-1, 1], and the distance from the centre."""

    coordinates: Tensor

    def __init__(self, conv: nn.Conv2d, side: int) -> None:
        super().__init__()
        self.conv = conv
        line = 2 * torch.arange(side) / (side - 1) - 1
        row, column = line[:, None].expand(side, side), line[None, :].expand(side, side)
        radius = (row.square() + column.square()).sqrt()
        self.register_buffer("coordinates", torch.stack([row, column, radius / radius[0, 0]])[None], persistent=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Convolve the map and its three coordinates."""
        return self.conv(torch.cat([x, self.coordinates.to(x).expand(x.shape[0], -1, -1, -1)], dim=1))


class FaceAlignmentNetwork(nn.Module):
    """From an image of a face to heat maps of its landmarks.

    Args:
        channels: after the first convolution; the hourglass has four times as many. 64 in the release.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide, deep = 2 * channels, 4 * channels
        self.stem = CoordinateConv(nn.Conv2d(6, channels, 7, stride=2, padding=3), INPUT_SIDE)
        self.stem_norm = FixedNorm(channels)
        self.blocks = nn.ModuleList([ConvBlock(channels, wide), ConvBlock(wide, wide), ConvBlock(wide, deep)])
        self.place = CoordinateConv(nn.Conv2d(deep + 3, deep, 1), MAP_SIDE)
        self.hourglass = Hourglass(deep, DEPTH)
        self.top = ConvBlock(deep, deep)
        self.last = nn.Conv2d(deep, deep, 1)
        self.last_norm = FixedNorm(deep)
        self.to_heatmaps = nn.Conv2d(deep, LANDMARKS + 1, 1)
        for name, value in (("weight", 0.0), ("bias", UNSEEN)):
            nn.init.constant_(self.to_heatmaps.get_parameter(name), value)
        self.requires_grad_(requires_grad=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 98 64 64"]:
        """Heat maps of the landmarks for images in [-1, 1], about [0, 1]."""
        resized = F.interpolate(image, size=(INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
        return self.all_maps(resized * 0.5 + 0.5)[:, :LANDMARKS]

    def all_maps(self, image: Float[Tensor, "b 3 256 256"]) -> Float[Tensor, "b 99 64 64"]:
        """Heat maps of the landmarks and of the face's outlines, for images in [0, 1]."""
        x = F.relu(self.stem_norm(self.stem(image)))
        first, *others = self.blocks
        x = F.avg_pool2d(first(x), 2)
        for block in others:
            x = block(x)
        x = self.top(self.hourglass(self.place(x)))
        return self.to_heatmaps(F.relu(self.last_norm(self.last(x))))
