"""The sizes of StarGAN v2, and the two models that its authors published."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from i2i_runtime import Record

INNER_SIDE = 16
"""Side of the generator's deepest map; half of it in a model that passes details on."""

ENCODED_SIDE = 4
"""Side of the map at the end of style encoder and discriminator."""

SMALLEST_SIDE = 32
"""Pixels. Below it the generator does not downsample."""

DETAILED_SIDES = (32, 64, 128)
"""Sides of the maps whose details may pass by the deepest one."""


class Config(Record):
    """StarGAN v2 at one size. The defaults are those of the authors' model of animal faces."""

    image_size: Annotated[int, Field(ge=SMALLEST_SIDE)] = 256
    """side in pixels that it is trained at, a power of two; the only one that the style encoder takes"""
    domains: Annotated[tuple[str, ...], Field(min_length=1)] = ("cat", "dog", "wild")
    """Their names, in the order of the labels; those of the folders of training images. With one alone, images get
    the looks of others of the same kind."""
    channel_base: PositiveInt = 2**14
    """the first convolution has channel_base / image_size channels: 64 at 256 pixels, 256 at 64"""
    max_channels: PositiveInt = 512
    """channels double with every downsampling of the map, up to this many"""
    latent_dim: PositiveInt = 16
    style_dim: PositiveInt = 64
    mapping_channels: PositiveInt = 512
    """of every layer inside the mapping network"""
    high_pass: NonNegativeFloat = 0.0
    """above 0, details of the face pass by the deepest map through a high-pass filter divided by this number (`w_hpf`
    of the release), where masks made from landmarks let them; weights bring their own filter. 0: none"""
    fan_channels: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    """after the first convolution of the landmark network, which there is where `high_pass` is above 0"""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size {self.image_size} is not a power of two")
        if self.channel_base % self.image_size:
            raise ValueError(
                f"channel_base {self.channel_base} is no multiple of image_size {self.image_size}: "
                "it is what image_size times the channels of the first convolution comes to"
            )
        if self.has_masks and self.image_size < DETAILED_SIDES[1]:
            raise ValueError(f"high_pass needs an image_size of {DETAILED_SIDES[1]} or more, not {self.image_size}")
        return self

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        if len(set(self.domains)) != len(self.domains) or not all(self.domains):
            raise ValueError(f"every domain needs a name of its own: {', '.join(self.domains)}")
        return self

    @property
    def has_masks(self) -> bool:
        """Whether details pass by, through masks that a landmark network makes."""
        return self.high_pass > 0

    @property
    def channels(self) -> int:
        """After the first convolution."""
        return self.channel_base // self.image_size

    @property
    def downsamplings(self) -> int:
        """How often the generator downsamples an image by 2."""
        return (self.image_size // INNER_SIDE).bit_length() - 1 + self.has_masks

    @property
    def size_multiple(self) -> int:
        """Sides of the images that the generator takes are multiples of this."""
        return 2**self.downsamplings

    @property
    def generator_widths(self) -> tuple[int, ...]:
        """Channels of the generator's maps, from the largest map to the deepest."""
        return self._widths(self.downsamplings)

    @property
    def trunk_widths(self) -> tuple[int, ...]:
        """Channels of the maps of style encoder and discriminator, from the largest map to the deepest."""
        return self._widths((self.image_size // ENCODED_SIDE).bit_length() - 1)

    def _widths(self, downsamplings: int) -> tuple[int, ...]:
        # The first width is not limited (release): at 16 pixels and less it would exceed the limit.
        return (self.channels, *(min(self.channels * 2**n, self.max_channels) for n in range(1, downsamplings + 1)))


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "afhq": Config(),
        "celeba_hq": Config(domains=("female", "male"), high_pass=1.0),
        "small": Config(image_size=64, channel_base=2**11, max_channels=128, mapping_channels=128),
    }
)
"""The authors' models of animal faces and of people's, and one for 64 pixels that a CPU can train."""
