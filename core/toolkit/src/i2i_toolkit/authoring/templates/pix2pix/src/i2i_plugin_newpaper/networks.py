"""The generator of New Paper: a U-Net (Isola et al., CVPR 2017, arXiv:1611.07004, section 3.2.1).

Shapes: b batch, h and w height and width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import initialise_normal, instance_norm

from .config import Config

LEAK = 0.2
"""negative slope on the way down"""


class UNet(nn.Module):
    """Downsamples an image `depth` times and upsamples it again, with a skip connection at every size."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = [config.channels * min(2**level, 8) for level in range(config.depth)]
        self.down = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
            for channels_in, channels_out in pairwise([3, *widths])
        )
        # The levels above the deepest also take what their skip connection brings.
        inner = [widths[-1], *(2 * width for width in widths[-2:0:-1])]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
            for channels_in, channels_out in zip(inner, widths[-2::-1], strict=True)
        )
        self.to_image = nn.ConvTranspose2d(2 * widths[0], 3, 4, stride=2, padding=1)
        initialise_normal(self)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Translate images in [-1, 1] to (-1, 1)."""
        first, *deeper = self.down
        skipped = [first(image)]
        for layer in deeper:
            skipped.append(instance_norm(layer(F.leaky_relu(skipped[-1], LEAK))))
        x = skipped.pop()
        for layer in self.up:
            x = torch.cat([instance_norm(layer(F.relu(x))), skipped.pop()], dim=1)
        return torch.tanh(self.to_image(F.relu(x)))
