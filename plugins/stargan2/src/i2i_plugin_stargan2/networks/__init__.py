"""Networks of StarGAN v2 (Choi et al., CVPR 2020, arXiv:1912.01865, appendix E).

Written from the paper and from the facts of the authors' release, and checked against tensors recorded from it. The
numbers are the release's.

Shapes: b batch, c and k channels, h and w height and width at this depth, s style dim, z latent dim, n domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.config import DETAILED_SIDES, ENCODED_SIDE, Config
from i2i_plugin_stargan2.networks.layers import AffineInstanceNorm, ResBlock, StyledBlock, conv3, leaky
from i2i_toolkit import initialise_kaiming

LAPLACIAN = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))
"""The high-pass filter (release), before it is divided by `Config.high_pass`."""

Masks = tuple[Float[Tensor, "b 1 y x"], Float[Tensor, "b 1 y x"]]
"""Where details pass, in [0, 1]: at the smallest of DETAILED_SIDES, and at the others."""


def pick(values: Float[Tensor, "b n *rest"], domain: Int[Tensor, " b"]) -> Tensor:
    """Of each sample the entry of its domain, [b, *rest]. A gather: the batch stays free in an exported graph."""
    index = domain.reshape(-1, *[1] * (values.ndim - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index).squeeze(1)


# --- Generator --------------------------------------------------------------------------------------------------------


class HighPass(nn.Module):
    """What a map has beyond its surroundings."""

    kernel: Tensor

    def __init__(self, divisor: float) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor(LAPLACIAN) / divisor)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Filter every channel; the outside is zero."""
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)


class Encoded(NamedTuple):
    """An image inside the generator; no style has touched it."""

    inner: Float[Tensor, "b c y x"]
    """the deepest map"""
    details: Mapping[int, Tensor]
    """side -> the map of this side, for those whose details may pass"""


class Generator(nn.Module):
    """Translates an image into the domain and look that a style stands for."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths, style_dim = config.generator_widths, config.style_dim
        deepest, plain = widths[-1], not config.has_masks
        self.from_rgb = conv3(3, widths[0])
        self.encoder = nn.ModuleList(
            [ResBlock(width, wider, norms=True, downsamples=True) for width, wider in pairwise(widths)]
            + [ResBlock(deepest, deepest, norms=True, downsamples=False) for _ in range(2)]
        )
        self.decoder = nn.ModuleList(
            [StyledBlock(deepest, deepest, style_dim, upsamples=False, has_shortcut=plain) for _ in range(2)]
            + [
                StyledBlock(wider, width, style_dim, upsamples=True, has_shortcut=plain)
                for wider, width in pairwise(reversed(widths))
            ]
        )
        self.to_rgb_norm = AffineInstanceNorm(widths[0])
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)
        self.high_pass = None if plain else HighPass(config.high_pass)
        initialise_kaiming(self)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        style: Float[Tensor, "b s"],
        whole: Float[Tensor, "b 1 y x"] | None = None,
        inner: Float[Tensor, "b 1 y x"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the translated image, about (-1, 1): nothing limits it. Without both masks no details pass."""
        return self.decode(self.encode(image), style, () if whole is None or inner is None else (whole, inner))

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Return what all translations of an image have in common."""
        details: dict[int, Tensor] = {}
        x = self.from_rgb(image)
        for block in self.encoder:
            if self.high_pass is not None and x.shape[2] in DETAILED_SIDES:
                details[x.shape[2]] = x
            x = block(x)
        return Encoded(x, details)

    def decode(
        self, encoded: Encoded, style: Float[Tensor, "b s"], masks: tuple[Tensor, ...] = ()
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the image in this style. `masks`: none, or two of any one size; see `Masks`."""
        x = encoded.inner
        for block in self.decoder:
            x = block(x, style)
            side = x.shape[2]
            if self.high_pass is not None and masks and side in DETAILED_SIDES:
                mask = masks[0] if side == DETAILED_SIDES[0] else masks[1]
                resized = F.interpolate(mask, size=(side, side), mode="bilinear", align_corners=False)
                x = x + self.high_pass(resized * encoded.details[side])
        return self.to_rgb(leaky(self.to_rgb_norm(x)))


# --- Styles -----------------------------------------------------------------------------------------------------------


class MappingNetwork(nn.Module):
    """From a latent to a style of each domain: four layers in common, four for every domain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, depth = config.mapping_channels, 3
        sizes = [config.latent_dim] + [width] * (depth + 1)
        self.trunk = nn.ModuleList([nn.Linear(length, longer) for length, longer in pairwise(sizes)])
        self.heads = nn.ModuleList(
            [
                nn.ModuleList([*(nn.Linear(width, width) for _ in range(depth)), nn.Linear(width, config.style_dim)])
                for _ in config.domains
            ]
        )
        initialise_kaiming(self)

    def forward(self, latent: Float[Tensor, "b z"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """Return the style of each latent in its domain."""
        return pick(self.of_all_domains(latent), domain)

    def of_all_domains(self, latent: Float[Tensor, "b z"]) -> Float[Tensor, "b n s"]:
        """Return the style of each latent in every domain."""
        hidden = latent
        for layer in self.trunk:
            hidden = F.relu(layer(hidden))
        return torch.stack([_through(head, hidden) for head in self.heads], dim=1)


def _through(head: nn.Module, hidden: Tensor) -> Tensor:
    *layers, last = head.children()
    for layer in layers:
        hidden = F.relu(layer(hidden))
    return last(hidden)


class Trunk(nn.Module):
    """What style encoder and discriminator have in common: an image of one size becomes one vector."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.trunk_widths
        self.stem = conv3(3, widths[0])
        self.blocks = nn.ModuleList(
            [ResBlock(width, wider, norms=False, downsamples=True) for width, wider in pairwise(widths)]
        )
        self.last = nn.Conv2d(widths[-1], widths[-1], ENCODED_SIDE)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """Features of the whole image."""
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return leaky(self.last(leaky(x))).flatten(1)


class StyleEncoder(nn.Module):
    """From an image to its style, seen as an image of a domain."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = Trunk(config)
        self.heads = nn.ModuleList([nn.Linear(config.trunk_widths[-1], config.style_dim) for _ in config.domains])
        initialise_kaiming(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], domain: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """Return the style of each image in its domain."""
        return pick(self.of_all_domains(image), domain)

    def of_all_domains(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n s"]:
        """Return the style of each image as one of every domain."""
        features = self.trunk(image)
        return torch.stack([head(features) for head in self.heads], dim=1)


class Discriminator(nn.Module):
    """Tells images of a domain from generated ones."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = Trunk(config)
        self.to_logits = nn.Conv2d(config.trunk_widths[-1], len(config.domains), 1)
        initialise_kaiming(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], domain: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """One logit per image, of its domain; high for real."""
        return pick(self.of_all_domains(image), domain)

    def of_all_domains(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
        """Return the logits of every domain."""
        return self.to_logits(self.trunk(image)[:, :, None, None]).flatten(1)


# --- Truncation -------------------------------------------------------------------------------------------------------

MEAN_OF = 10_000
"""Latents whose styles are averaged for truncation (release)."""


@torch.no_grad()
def mean_styles(mapping: MappingNetwork, latents: Float[Tensor, "m z"]) -> Float[Tensor, "n s"]:
    """Return the mean style of every domain over these latents."""
    return mapping.of_all_domains(latents).mean(0)


class TruncatedMapping(nn.Module):
    """The mapping network, and how far a style may be from the mean one of its domain.

    The mean is taken when this is built, over latents that are always the same.
    """

    means: Tensor

    def __init__(self, mapping: MappingNetwork, latent_dim: int) -> None:
        super().__init__()
        self.mapping = mapping
        generator = torch.Generator(device="cpu").manual_seed(0)
        latents = torch.randn(MEAN_OF, latent_dim, generator=generator, device="cpu")
        weight = next(mapping.parameters())
        self.register_buffer("means", mean_styles(mapping, latents.to(weight)), persistent=False)

    def forward(
        self, latent: Float[Tensor, "b z"], domain: Int[Tensor, " b"], psi: Float[Tensor, " b"]
    ) -> Float[Tensor, "b s"]:
        """Return the style of each latent in its domain, moved towards the mean where psi is below 1."""
        return truncated(self.mapping(latent, domain), self.means.index_select(0, domain), psi)


def truncated(
    style: Float[Tensor, "b s"], mean: Float[Tensor, "#b s"], psi: Float[Tensor, " #b"]
) -> Float[Tensor, "b s"]:
    """mean + psi * (style - mean); written so that psi = 1 leaves the style as it is."""
    return style + (psi[:, None] - 1) * (style - mean)
