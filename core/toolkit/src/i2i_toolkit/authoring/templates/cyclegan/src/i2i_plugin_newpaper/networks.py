"""The generators of New Paper (Zhu et al., ICCV 2017, arXiv:1703.10593, section 4 and appendix).

Shapes: b batch, c channels, h and w height and width.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import InstanceNorm, initialise_normal, instance_norm

from .config import Config


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))); borders are mirrored."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine `x` at the same size."""
        return x + instance_norm(self.conv2(F.relu(instance_norm(self.conv1(x)))))


class Generator(nn.Module):
    """Downsamples twice, refines, and upsamples twice."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.channels
        self.layers = nn.Sequential(
            *normalised(nn.Conv2d(3, c, 7, padding=3, padding_mode="reflect", bias=False)),
            *normalised(nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=False)),
            *normalised(nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=False)),
            *(ResidualBlock(4 * c) for _ in range(config.blocks)),
            *normalised(nn.ConvTranspose2d(4 * c, 2 * c, 3, stride=2, padding=1, output_padding=1, bias=False)),
            *normalised(nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1, bias=False)),
            nn.Conv2d(c, 3, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )
        initialise_normal(self)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Translate images in [-1, 1] to (-1, 1); sides are multiples of 4."""
        return self.layers(image)


def normalised(layer: nn.Module) -> tuple[nn.Module, ...]:
    """Follow a layer by an instance norm and a ReLU."""
    return layer, InstanceNorm(), nn.ReLU()
