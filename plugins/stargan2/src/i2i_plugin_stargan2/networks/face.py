"""From heat maps of a face's landmarks to masks, and to places (the release's recipe; it is not in the paper).

Shapes: b batch; heat maps are [b, 98, 64, 64] and masks [b, 1, 256, 256].
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.networks import Masks
from i2i_plugin_stargan2.networks.fan import INPUT_SIDE, MAP_SIDE

FAINTEST = 0.1
"""Heat below it is nothing."""

TINY = 1e-6
"""Added to the range of a heat map that is divided by it."""

Heat = Float[Tensor, "b 98 y x"]
Plane = Float[Tensor, "b y x"]


def rolled(plane: Plane, down: int) -> Plane:
    """Move it down by so many rows (up where negative); what leaves at one end enters at the other."""
    return torch.cat([plane[:, -down:], plane[:, :-down]], dim=1)


def summed(heat: Heat, first: int, end: int, power: int = 1) -> Plane:
    """Return the sum of the landmarks `first` to `end` (exclusive), each to this power."""
    return heat[:, first:end].pow(power).sum(1)


def enhanced(heatmaps: Float[Tensor, "b 98 64 64"]) -> Float[Tensor, "b 98 256 256"]:
    """Heat maps at the size of the image, each stretched from 0 to 1."""
    side = (INPUT_SIDE, INPUT_SIDE)
    heat = F.interpolate(heatmaps, size=side, mode="bilinear", align_corners=True)
    heat = torch.where(heat < FAINTEST, 0.0, heat)
    lowest, highest = heat.amin((2, 3), keepdim=True), heat.amax((2, 3), keepdim=True)
    return (heat - lowest) / (highest - lowest + TINY)


def face_masks(heatmaps: Float[Tensor, "b 98 64 64"]) -> Masks:
    """Everything that makes a face; and the same without its outline, brows and mouth.

    Moving a map commutes with adding it to others, so the landmarks of a part are added first.
    """
    heat = enhanced(heatmaps)
    nose = summed(heat, 51, 52) + rolled(summed(heat, 52, 55), -4)
    nostrils = rolled(summed(heat, 55, 60, 4), -8)
    eyes = rolled(summed(heat, 60, 76, 3), 8) + rolled(summed(heat, 60, 76), 24)
    pupils = summed(heat, 96, 98)
    inner = nose + nostrils + eyes + pupils
    chin = summed(heat, 8, 25, 3)
    brows = rolled(summed(heat, 34, 46, 2) + summed(heat, 47, 51, 2), 7)  # 33 and 46, where they begin, are left out
    lips = rolled(summed(heat, 77, 82, 4), 8) + rolled(summed(heat, 83, 88, 4), -8)
    mouth = lips + rolled(summed(heat, 88, 96, 3), 2)
    whole = inner + chin + brows + mouth
    return whole.clamp(0, 1)[:, None], inner.clamp(0, 1)[:, None]


class FaceMasks(nn.Module):
    """`face_masks` as a module, for a graph of its own."""

    def forward(self, heatmaps: Float[Tensor, "b 98 64 64"]) -> Masks:
        """See `face_masks`."""
        return face_masks(heatmaps)


def landmarks(heatmaps: Float[Tensor, "b 98 64 64"]) -> Float[Tensor, "b 98 2"]:
    """Column and row of every landmark, in pixels of an image of 256: what aligning a face starts from.

    The hottest place, a quarter of a step towards its hotter neighbours, counted from 1 and at the pixel's centre.
    """
    hottest = heatmaps.flatten(2).argmax(2)
    row, column = hottest // MAP_SIDE, hottest % MAP_SIDE
    inside = (row > 0) & (row < MAP_SIDE - 1) & (column > 0) & (column < MAP_SIDE - 1)
    flat, index = heatmaps.flatten(2), hottest.clamp(MAP_SIDE + 1, MAP_SIDE**2 - MAP_SIDE - 2)

    def slope(step: int) -> Tensor:
        after, before = (flat.gather(2, (index + way)[:, :, None]).squeeze(2) for way in (step, -step))
        return torch.where(inside, (after - before).sign(), 0.0)

    places = torch.stack([column + 1 + 0.25 * slope(1), row + 1 + 0.25 * slope(MAP_SIDE)], dim=2)
    return (places - 0.5) * (INPUT_SIDE // MAP_SIDE)
