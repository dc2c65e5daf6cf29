"""The networks of New Paper (Choi et al., CVPR 2020, arXiv:1912.01865, section 3.1).

Shapes: b batch, c channels, h and w height and width, n domains, s style dim, z latent dim.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import AdaINResidualBlock, initialise_kaiming, instance_norm

from .config import Config

LEAK = 0.2
"""negative slope in the encoders"""
HIDDEN = 128
"""width of the mapping network"""


class Generator(nn.Module):
    """Translates an image into the domain and look that a style stands for."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.channels
        self.first = nn.Conv2d(3, c, 7, padding=3, bias=False)
        self.down1 = nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=False)
        self.down2 = nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1, bias=False)
        self.blocks = nn.ModuleList(AdaINResidualBlock(4 * c) for _ in range(config.blocks))
        self.styles = nn.ModuleList(nn.Linear(config.style_dim, 16 * c) for _ in range(config.blocks))
        self.up1 = nn.ConvTranspose2d(4 * c, 2 * c, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1)
        self.to_image = nn.Conv2d(c, 3, 7, padding=3)
        initialise_kaiming(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b 3 h w"]:
        """Translate images in [-1, 1] to (-1, 1); sides are multiples of 4."""
        x = image
        for layer in (self.first, self.down1, self.down2):
            x = F.relu(instance_norm(layer(x)))
        for block, to_scales in zip(self.blocks, self.styles, strict=True):
            x = block(x, to_scales(style))
        return torch.tanh(self.to_image(F.relu(self.up2(F.relu(self.up1(x))))))


class MappingNetwork(nn.Module):
    """Maps a latent to a style of each domain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.domains = len(config.domains)
        self.hidden = nn.Linear(config.latent_dim, HIDDEN)
        self.heads = nn.Linear(HIDDEN, self.domains * config.style_dim)
        initialise_kaiming(self)

    def forward(self, latent: Float[Tensor, "b z"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """Return the style of each latent in its domain."""
        return pick(self.heads(F.relu(self.hidden(latent))).unflatten(1, (self.domains, -1)), domain)


class DomainEncoder(nn.Module):
    """Maps an image to a vector for each domain: a style, or the one logit of a discriminator."""

    def __init__(self, config: Config, dim: int) -> None:
        super().__init__()
        self.domains = len(config.domains)
        widths = [config.channels * min(2**level, 8) for level in range(4)]
        self.layers = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)
            for channels_in, channels_out in pairwise([3, *widths])
        )
        self.heads = nn.Linear(widths[-1], self.domains * dim)
        initialise_kaiming(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """Return the vector of each image in its domain."""
        x = image
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        return pick(self.heads(x.mean((2, 3))).unflatten(1, (self.domains, -1)), domain)


def pick(vectors: Float[Tensor, "b n s"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
    """Return the vector of each sample's domain. A gather, so that the batch stays free in an exported graph."""
    return vectors.gather(1, domain[:, None, None].expand(-1, 1, vectors.shape[2])).squeeze(1)
