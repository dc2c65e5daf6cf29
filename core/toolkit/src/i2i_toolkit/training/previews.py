"""Images as a person can look at them, for sample grids."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

COLOURS = 3


def in_colour(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    """Images of any number of channels as red, green and blue.

    One channel is grey; of more than three the first three are shown, and of two the second one twice.
    """
    shown = [min(channel, images.shape[1] - 1) for channel in range(COLOURS)]
    return images[:, torch.tensor(shown, device=images.device)]
