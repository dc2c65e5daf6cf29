"""Few colours for many: clip art and the training image in the same ones (paper, section 4, paint-to-image).

The authors' code clusters triples of neighbouring values of one channel, by a slip; here colours are colours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

PALETTE_SIZE = 5
MOST_ROUNDS = 100
"""of k-means; it settles sooner"""


def palette_of(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "k 3"]:
    """Return the colours that are nearest to those of an image, by k-means; the same for the same image.

    The first is the mean colour; then always the colour of the pixel that is farthest from those chosen.
    """
    if image.is_meta:
        return image.new_zeros(PALETTE_SIZE, image.shape[1])
    pixels = image[0].detach().double().cpu().flatten(1).mT
    centres = pixels.mean(dim=0, keepdim=True)
    while len(centres) < PALETTE_SIZE:
        farthest = _distances(pixels, centres).amin(dim=1).argmax()
        centres = torch.cat([centres, pixels[farthest, None]])
    for _ in range(MOST_ROUNDS):
        nearest = _distances(pixels, centres).argmin(dim=1)
        moved = torch.stack(
            [
                pixels[nearest == index].mean(dim=0) if (nearest == index).any() else centre
                for index, centre in enumerate(centres)
            ]
        )
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.to(image)


def quantised(image: Float[Tensor, "b 3 h w"], palette: Float[Tensor, "k 3"]) -> Float[Tensor, "b 3 h w"]:
    """Every pixel in the colour of the palette that is nearest to its own."""
    distances = (image[:, None] - palette[:, :, None, None]).square().sum(dim=2)
    return palette[distances.argmin(dim=1)].permute(0, 3, 1, 2)


def _distances(pixels: Float64[Tensor, "n 3"], centres: Float64[Tensor, "k 3"]) -> Float64[Tensor, "n k"]:
    return (pixels[:, None] - centres).square().sum(dim=2)
