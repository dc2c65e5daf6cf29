"""What a trained pyramid is used for, as modules with plain tensor inputs (paper, section 4).

Each takes the random numbers as maps, `noise_0` that of the coarsest scale (or of the first pass); b = batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2i_plugin_singan.networks import Pyramid
from i2i_plugin_singan.networks.palette import palette_of, quantised
from i2i_plugin_singan.networks.sampling import padded
from i2i_toolkit import MapSize, resample, resample_by


class Sampling(nn.Module):
    """Start scale, share of the stored noise, and a noise map for every scale -> an image as large as the maps say."""

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(
        self, start_scale: Float[Tensor, " b"], anchor: Float[Tensor, " b"], *noises: Float[Tensor, "b _ _ _"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the image of the finest scale."""
        return self.pyramid(noises, start_scale, anchor)[-1]


class Injection(nn.Module):
    """An image that enters in place of what the scales below `start_scale` would make (1 to the finest)."""

    palette: Tensor

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.painted = pyramid.config.paint_scale
        if self.painted is not None:
            self.register_buffer("palette", palette_of(pyramid.level(self.painted).real), persistent=False)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        start_scale: Float[Tensor, " b"],
        *noises: Float[Tensor, "b _ _ _"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the image of the finest scale. There is no noise map for scale 0."""
        pyramid, config = self.pyramid, self.pyramid.config
        start = start_scale.clamp(1, config.finest)[:, None, None, None]
        made = image
        for scale, noise in enumerate(noises, start=1):
            entering = padded(self.at_scale(image, scale), config.border)
            if scale == 1:
                below = entering
            else:
                below = pyramid.below(made, config.size_at(scale), 1 / config.factor)
                below = torch.where((start - scale).abs() < 0.5, entering, below)  # noqa: PLR2004 - the nearest scale
            made = pyramid.level(scale).where_trained(pyramid.bordered(noise), below)
        return made

    def at_scale(self, image: Float[Tensor, "b 3 h w"], scale: int) -> Float[Tensor, "b 3 y x"]:
        """Return the image made as small as the scale below and enlarged again, as what comes from there would be.

        At a scale that was trained again for few colours: made small once, of those colours.
        """
        config, size = self.pyramid.config, self.pyramid.config.size_at(scale)
        if scale == self.painted:
            return _shrunk(quantised(image, self.palette), size, config.shrinking(scale))
        smaller = _shrunk(image, config.size_at(scale - 1), config.shrinking(scale - 1))
        return resample(smaller, size, (1 / config.factor, 1 / config.factor))


def _shrunk(image: Float[Tensor, "b 3 h w"], size: MapSize, factor: float) -> Float[Tensor, "b 3 y x"]:
    return resample(image, size, (factor, factor))


class Blending(nn.Module):
    """A made image where the mask is white, and the training image where it is black."""

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, made: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
        """In proportion where it is grey."""
        return (1 - mask) * self.pyramid.real + mask * made


class SuperResolution(nn.Module):
    """The training image enlarged: by the finest generator, again and again, each time a little more."""

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, *noises: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b 3 h w"]:
        """Return the enlarged image; there is a noise map for every pass."""
        pyramid, config = self.pyramid, self.pyramid.config
        generator, factor = pyramid.level(config.finest), config.pass_factor
        below = padded(resample_by(pyramid.real, factor), config.border).expand(noises[0].shape[0], -1, -1, -1)
        image = below
        for number, noise in enumerate(noises):
            if number > 0:
                below = pyramid.below(image, config.enlarged_sizes[number], factor)
            image = generator.where_trained(pyramid.bordered(noise), below)
        height, width = (int(config.enlargement * side) for side in (config.height, config.width))
        return image[..., :height, :width]
