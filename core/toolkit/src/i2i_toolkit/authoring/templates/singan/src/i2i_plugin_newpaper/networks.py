"""The networks of New Paper (Rott Shaham et al., ICCV 2019, arXiv:1905.01164, section 2), without batch norms.

Shapes: b batch, h and w height and width of a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Config

LEAK = 0.2
"""negative slope between the layers"""


def layers(config: Config, channels_out: int) -> nn.Sequential:
    """Stack the 3x3 convolutions of a generator or a critic.

    The last has no bias: what is added to all scores of a critic cancels between real images and samples.
    """
    stacked: list[nn.Module] = []
    for channels_in, channels in pairwise([3, *[config.channels] * (config.layers - 1)]):
        stacked += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*stacked, nn.Conv2d(config.channels, channels_out, 3, padding=1, bias=False))


class Pyramid(nn.Module):
    """A generator for every scale, the coarsest first, and the noise that becomes the training image."""

    amplitudes: Tensor
    stored: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.generators = nn.ModuleList(layers(config, 3) for _ in config.sizes)
        self.register_buffer("amplitudes", torch.ones(len(config.sizes)))
        self.register_buffer("stored", torch.randn(1, 3, *config.sizes[0]))

    def forward(
        self, start_scale: Float[Tensor, " b"], anchor: Float[Tensor, " b"], *noises: Float[Tensor, "b 3 _ _"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the image of the finest scale that has a map of noise; the sizes are the maps'.

        Scales below `start_scale` get the stored noise, and show the training image; the others get their own and
        `anchor` times the stored noise.
        """
        image = torch.zeros_like(noises[0])
        for scale, noise in enumerate(noises):
            stored = resized(self.stored, noise) if scale == 0 else torch.zeros_like(noise)
            given = noise + anchor[:, None, None, None] * stored
            chosen = torch.where(start_scale[:, None, None, None] > scale, stored, given)
            below = resized(image, noise)
            # The noise says which details the generator adds (eq. 3).
            image = below + torch.tanh(self.generators[scale](self.amplitudes[scale] * chosen + below))
        return image

    def reconstruction(self, maps: Sequence[Tensor]) -> Float[Tensor, "b 3 h w"]:
        """Return what the stored noise becomes, at the scales and sizes of the maps."""
        count = len(maps[0])
        return self(self.stored.new_zeros(count), self.stored.new_ones(count), *(torch.zeros_like(x) for x in maps))


def resized(image: Float[Tensor, "b 3 _ _"], like: Float[Tensor, "_ 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Resize an image along straight lines to the size of a map."""
    return F.interpolate(image, size=like.shape[-2:], mode="bilinear", align_corners=True)
