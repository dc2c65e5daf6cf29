"""What a trained generator is used for, as modules with plain tensor inputs.

Shapes: b batch, h and w height and width of the image, y and x of stage 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2i_plugin_consingan.config import EDITING_NOISE
from i2i_plugin_consingan.networks import Generator
from i2i_plugin_consingan.networks.upsampling import enlarged

BACKGROUNDS = ("training", "naive")
"""What is behind the mask: the image that was learned (the release's evaluation), or the one that was given (its
training monitor). They differ where the given image was changed outside the mask."""


class Pyramid(nn.Module):
    """From noise to an image, whose size is that of the noise maps; part of the noise may be the stored one.

    A stage is fed its stored noise where its number is below `start_scale`, else the given noise plus `anchor` times
    the stored.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.begun = generator.begun_count

    def forward(
        self, start_scale: Float[Tensor, " b"], anchor: Float[Tensor, " b"], *maps: Float[Tensor, "b _ _ _"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the image made of `maps`: noise for every stage."""
        fed = list(maps)
        for number, noise in enumerate(maps[: self.begun]):
            stored = enlarged(self.generator.stages[number].noise, noise.shape[-2], noise.shape[-1])
            mixed = noise + anchor[:, None, None, None] * stored
            fed[number] = torch.where(start_scale[:, None, None, None] > number, stored, mixed)
        return self.generator.finish(fed, self.begun)


class Injection(nn.Module):
    """An image at stage 0, the stored noise behind it, and the result blended in where the mask says so."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.begun = generator.begun_count

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        coarse: Float[Tensor, "b 3 y x"],
        mask: Float[Tensor, "b 1 h w"],
        background: Int64[Tensor, " b"],
        noise_0: Float[Tensor, "b 3 y x"] | None = None,
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
        """Return the blended result, and the unblended one.

        `coarse` is the image at the size of stage 0, `background` an index into `BACKGROUNDS`.
        """
        fed = coarse if noise_0 is None else coarse + EDITING_NOISE * noise_0
        made = self.generator.finish([fed, *self.generator.stored(self.generator.config.stages)[1:]], self.begun)
        return self.composed(made, image, mask, background), made

    def composed(
        self,
        made: Float[Tensor, "b 3 h w"],
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        background: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Return what was made where the mask says so, in front of the background."""
        as_trained = (background == BACKGROUNDS.index("training"))[:, None, None, None]
        behind = torch.where(as_trained, self.generator.stages[-1].image, image)
        return (1 - mask) * behind + mask * made
