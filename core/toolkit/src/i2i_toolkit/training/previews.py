"""Pictures as a person can look at them, for sample grids."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

COLOURS = 3


def in_colour(pictures: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    """Pictures of any number of channels as red, green and blue.

    One channel is grey; of more than three the first three are shown, and of two the second one twice.
    """
    shown = [min(channel, pictures.shape[1] - 1) for channel in range(COLOURS)]
    return pictures[:, torch.tensor(shown, device=pictures.device)]
