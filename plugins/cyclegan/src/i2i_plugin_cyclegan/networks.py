"""What CycleGAN (Zhu et al., ICCV 2017, arXiv:1703.10593) has beside the generators and discriminators of the toolkit.

Those lie there because pix2pix is trained with the same ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2i_toolkit import Translation

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue weigh in a grey image (ITU-R BT.601; release, on images in [-1, 1])."""


class FromColour(nn.Module):
    """A translation of grey images that takes colour, so that one operation serves a grey and a colour domain."""

    luma: Tensor

    def __init__(self, translation: Translation) -> None:
        super().__init__()
        self.translation = translation
        self.register_buffer("luma", torch.tensor(LUMA)[:, None, None], persistent=False)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], behaviour: Int64[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b k h w"]:
        """Make the image grey and translate it."""
        return self.translation((image * self.luma).sum(1, keepdim=True), behaviour)
