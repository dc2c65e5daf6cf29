"""The networks of SinGAN (paper, sections 2.1 and 2.2): a generator and a critic for every scale of the image.

No network pads: a border of zeros (or of noise) is laid around their input once, and each convolution takes one pixel
of it away. Shapes: b = batch, c = channels inside, h and w = a map with its border, H and W = without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i2i_plugin_singan.config import COLOURS, Config
from i2i_plugin_singan.networks.sampling import enlarged, padded, stretched
from i2i_toolkit import MapSize

SLOPE = 0.2
"""of the leaky ReLUs"""
SPREAD = 0.02
"""standard deviation of initial weights, and of initial scales of norms around 1"""

UNTRAINED = -1.0
"""amplitude of a scale that the training has not come to"""
FIRST_AMPLITUDE = 0.1
"""amplitude of the finer scales of a new model: the share of the error that a training will set"""


def convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Every convolution of the paper: 3x3, without padding, weights from N(0, 0.02)."""
    conv = nn.Conv2d(channels_in, channels_out, 3)
    nn.init.normal_(conv.weight, 0.0, SPREAD)
    return conv


class Block(nn.Module):
    """Convolution, batch norm, leaky ReLU. In training the batch is one image, whose own statistics count."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = convolution(channels_in, channels_out)
        self.norm = nn.BatchNorm2d(channels_out)
        nn.init.normal_(self.norm.weight, 1.0, SPREAD)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h-2 w-2"]:
        """Two pixels less a side."""
        return F.leaky_relu(self.norm(self.conv(x)), SLOPE)


def blocks(channels: int, layers: int) -> nn.Sequential:
    """All layers but the last."""
    return nn.Sequential(Block(COLOURS, channels), *(Block(channels, channels) for _ in range(layers - 2)))


class Generator(nn.Module):
    """The generator of one scale, G_n: adds to the image from below the details that the noise asks for (eq. 3).

    It also keeps the training image at its scale, and how strong its noise is.
    """

    amplitude: Tensor
    real: Tensor

    def __init__(self, config: Config, scale: int) -> None:
        super().__init__()
        self.border = config.border
        channels = config.width_at(scale)
        self.blocks = blocks(channels, config.layers)
        self.to_image = convolution(channels, COLOURS)
        # At the coarsest scale the noise is all there is, and stays as it is.
        amplitude = torch.tensor(FIRST_AMPLITUDE if scale else 1.0)
        self.register_buffer("amplitude", amplitude, persistent=scale > 0)
        self.register_buffer("real", torch.zeros(1, COLOURS, *config.size_at(scale)))

    def forward(self, noise: Float[Tensor, "b 3 h w"], below: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 H W"]:
        """Return the image of this scale, not clamped; `below` is the enlarged image of the coarser one in a border."""
        details = torch.tanh(self.to_image(self.blocks(self.amplitude * noise + below)))
        return details + self._inside(below)

    def where_trained(self, noise: Float[Tensor, "b 3 h w"], below: Float[Tensor, "b 3 h w"]) -> Tensor:
        """Return the same; of a scale that was never trained the image from below, as it is."""
        return torch.where(self.amplitude < 0, self._inside(below), self(noise, below))

    def _inside(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 H W"]:
        return x[..., self.border : -self.border, self.border : -self.border]


class Critic(nn.Module):
    """The Markovian critic of one scale, D_n: a score for every patch of 11x11 pixels."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.blocks = blocks(channels, layers)
        self.to_score = convolution(channels, 1)
        # What is added to all scores cancels between real and made images, and has no gradient.
        cast("nn.Parameter", self.to_score.bias).requires_grad = False

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 H W"]:
        """Scores of all patches."""
        return self.to_score(self.blocks(image))


class Pyramid(nn.Module):
    """All generators, the coarsest first, and what was remembered of the training.

    Maps in its methods are as the caller has them: noise without its border of zeros.
    """

    noise: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.border = config.border
        self.levels = nn.ModuleList(Generator(config, scale) for scale in range(config.scales))
        # The noise that becomes the training image: at the coarsest scale; at all others it is zero.
        self.register_buffer("noise", self.bordered(torch.randn(1, *config.noise_shape(0))).clone())

    @property
    def real(self) -> Float[Tensor, "1 3 h w"]:
        """The training image."""
        return self.level(self.config.finest).real

    def level(self, scale: int) -> Generator:
        """Return the generator of one scale."""
        return cast("Generator", self.levels[scale])

    def bordered(self, noise: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Return a noise map as the generators take it.

        In a border, and of three channels, which are equal at scale 0.
        """
        noise = noise if self.config.noisy_border else padded(noise, self.border)
        return noise.expand(-1, COLOURS, -1, -1)

    def below(self, image: Float[Tensor, "b 3 y x"], size: MapSize, factor: float) -> Float[Tensor, "b 3 h w"]:
        """Return the image of one scale as the next one takes it: enlarged, cut to `size`, in a border of zeros."""
        return enlarged(image, size, factor, self.border)

    def start(self, noise: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 H W"]:
        """Return the image of the coarsest scale, which has nothing below."""
        return self.level(0)(noise, torch.zeros_like(noise))

    def made(self, noises: Sequence[Float[Tensor, "b _ _ _"]], anchor: float = 0.0) -> Float[Tensor, "b 3 H W"]:
        """Return the last of the images that `forward` gives, with the same share of the stored noise for all items."""
        count, like = len(noises[0]), self.noise
        return self(noises, like.new_zeros(count), like.new_full((count,), anchor))[-1]

    def forward(
        self,
        noises: Sequence[Float[Tensor, "b _ _ _"]],
        start_scale: Float[Tensor, " b"] | None = None,
        anchor: Float[Tensor, " b"] | None = None,
    ) -> list[Float[Tensor, "b 3 _ _"]]:
        """Return the images of as many scales as there are noise maps, whose sizes theirs are.

        Scales below `start_scale` get the stored noise, so that they show the training image; at the others `anchor`
        says how much of the stored noise is added to theirs.
        """
        images: list[Tensor] = []
        for scale, noise in enumerate(noises):
            z = self.bordered(noise)
            if start_scale is not None and anchor is not None:
                stored = stretched(self.noise, (z.shape[-2], z.shape[-1])) if scale == 0 else torch.zeros_like(z)
                z = torch.where(_per_item(start_scale) > scale, stored, z + _per_item(anchor) * stored)
            if scale == 0:
                images.append(self.start(z))
                continue
            size = z.shape[-2] - 2 * self.border, z.shape[-1] - 2 * self.border
            below = self.below(images[-1], size, 1 / self.config.factor)
            images.append(self.level(scale).where_trained(z, below))
        return images


def _per_item(values: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
    return values[:, None, None, None]
