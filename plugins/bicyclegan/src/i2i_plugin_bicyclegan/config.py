"""The sizes of BicycleGAN, and what the paper compares it with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime import Channels, Record

ENCODED_SIDE = 8
"""Side of the encoder's last feature map, which is averaged to one value per channel."""

MOST_LEVELS = 10
"""Images of 1024 pixels are downsampled to one."""

Norm = Literal["instance", "batch", "none"]
Method = Literal["bicyclegan", "cvae_gan", "clr_gan"]
Activation = Literal["relu", "leaky_relu", "elu"]


class Config(Record):
    """BicycleGAN at one size. The defaults are those of the authors' release and of its published weights."""

    method: Method = "bicyclegan"
    """Which cycles the training closes, and so what the encoder has seen: image -> latent -> image alone
    (cvae_gan; paper, section 3.2), latent -> image -> latent alone (clr_gan; section 3.3), or both"""
    image_size: Annotated[int, Field(ge=2 * ENCODED_SIDE)] = 256
    """side in pixels that it is trained at, a power of two; the only one that the encoder takes"""
    levels: Annotated[int, Field(ge=2, le=MOST_LEVELS)] = 8
    """how often the generator downsamples by 2; it takes sides that are multiples of 2 ** levels"""
    source_channels: Channels = 3
    """of the images that are translated: 1 for grey ones, as edge maps are, 6 for two images in colour, ..."""
    target_channels: Channels = 3
    """of the images they become"""
    latent_dim: PositiveInt = 8
    """numbers that choose among the translations of one image"""
    latent_at: Literal["all", "input"] = "all"
    """where the latent enters the generator: at every level on the way down, or beside the image"""
    upsampling: Literal["transposed", "bilinear"] = "transposed"
    activation: Activation = "relu"
    """on the generator's way up; everywhere else it is a leaky ReLU"""
    norm: Norm = "instance"
    channels: PositiveInt = 64
    """after the generator's first convolution"""
    encoder: Literal["resnet", "cnn"] | None = "resnet"
    """E_ResNet or E_CNN of the paper; None: weights that hold a generator alone, which cannot be trained on"""
    encoder_channels: PositiveInt = 64
    """after the encoder's first convolution"""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size {self.image_size} is not a power of two")
        if self.image_size % self.size_multiple:
            raise ValueError(
                f"{self.levels} levels need sides that are multiples of {self.size_multiple}, "
                f"and image_size is {self.image_size}: lower levels or raise image_size"
            )
        return self

    @property
    def size_multiple(self) -> int:
        """Sides of the images that the generator takes are multiples of this."""
        return 2**self.levels

    @property
    def encoder_downsamplings(self) -> int:
        """How often the encoder downsamples an image of `image_size` by 2, before it takes the average."""
        return (self.image_size // ENCODED_SIDE).bit_length() - 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each of the generator's convolutions on the way down."""
        return tuple(self.channels * min(2**level, 8) for level in range(self.levels))


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "bicyclegan": Config(),
        "bicyclegan_128": Config(image_size=128, levels=7),
        "edges": Config(source_channels=1),
        "cvae_gan": Config(method="cvae_gan"),
        "clr_gan": Config(method="clr_gan"),
    }
)
"""The release's generator for 256 pixels, the one for 128, the one for grey edge maps, and the two halves of the
method that the paper compares the whole with (section 4)."""
