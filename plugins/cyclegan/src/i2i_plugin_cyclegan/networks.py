"""Networks of CycleGAN (Zhu et al., ICCV 2017, arXiv:1703.10593).

Written from the paper and checked against tensors recorded from the authors' PyTorch release.

Shapes: b batch, c channels, h and w height and width at this depth; d = 4 * base channels, in the generator's middle.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_cyclegan.config import Config
from i2i_toolkit.winograd import Conv3x3

LEAK = 0.2
"""Negative slope in the discriminators (paper, appendix)."""

DROPOUT = 0.5
"""Share of values that dropout sets to zero (release)."""

INITIAL_DEVIATION = 0.02
"""Standard deviation of initial weights (paper, appendix)."""

MOST_DOUBLINGS = 8
"""A discriminator is at most this many times as wide as after its first convolution (release)."""


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0 (paper, appendix)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, INITIAL_DEVIATION)
            if module.bias is not None:
                module.bias.zero_()


class InstanceNorm(nn.Module):
    """Zero mean and unit (biased) variance per sample and channel; nothing is learned, and every mode is the same."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; statistics in float32 at least."""
        return F.instance_norm(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)


class ResidualBlock(nn.Module):
    """x + norm(conv(dropout(relu(norm(conv(x)))))); by default without dropout."""

    def __init__(self, channels: int, *, dropout: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            *([nn.Dropout(DROPOUT)] if dropout else []),
            nn.ReflectionPad2d(1),
            Conv3x3(channels, channels),
            InstanceNorm(),
        )

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """Refine at the same size; no activation follows the sum."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """Two halvings, residual blocks, two doublings (paper, appendix).

    Its modules are counted as in the release, those without parameters too, because that is the only thing that tells
    them apart in its checkpoints: where the last ones stand depends on the number of blocks.
    """

    def __init__(self, config: Config, channels_in: int, channels_out: int) -> None:
        super().__init__()
        c = config.channels
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels_in, c, 7),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            # Zeros around the picture here, mirrored everywhere else.
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            *(ResidualBlock(4 * c, dropout=config.dropout) for _ in range(config.res_blocks)),
            nn.ConvTranspose2d(4 * c, 2 * c, 3, stride=2, padding=1, output_padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(3),
            nn.Conv2d(c, channels_out, 7),
            nn.Tanh(),
        )
        initialise(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Translate pictures in [-1, 1] to (-1, 1); sides are multiples of 4."""
        return self.model(image)


class Discriminator(nn.Module):
    """Judges every patch of a picture (paper, section 4); three halving layers see 70x70 pixels each."""

    def __init__(self, channels_in: int, channels: int, layers: int) -> None:
        super().__init__()
        widths = [channels * min(2**i, MOST_DOUBLINGS) for i in range(layers + 1)]
        strides = [2] * (layers - 1) + [1]  # the last of them does not halve
        self.first = nn.Conv2d(channels_in, channels, 4, stride=2, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=stride, padding=1) for i, stride in enumerate(strides)
        )
        self.norm = InstanceNorm()
        self.to_scores = nn.Conv2d(widths[-1], 1, 4, padding=1)
        initialise(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 y x"]:
        """Scores of being real, one per patch: 1 for real, 0 for generated."""
        x = F.leaky_relu(self.first(image), LEAK)
        for conv in self.convs:
            x = F.leaky_relu(self.norm(conv(x)), LEAK)
        return self.to_scores(x)
