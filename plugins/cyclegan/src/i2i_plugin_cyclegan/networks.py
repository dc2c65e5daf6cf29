"""The networks of CycleGAN (Zhu et al., ICCV 2017, arXiv:1703.10593).

pix2pix is trained with the same ones, so their layers lie in `i2i_toolkit.translators`.
"""

from __future__ import annotations

from i2i_plugin_cyclegan.config import Config
from i2i_toolkit import BatchNorm, PatchDiscriminator, PixelDiscriminator, ResidualBlock, ResNet, UNet
from i2i_toolkit.networks import generators as networks
from i2i_toolkit.networks.generators import InstanceNorm

__all__ = ["BatchNorm", "InstanceNorm", "PatchDiscriminator", "PixelDiscriminator", "ResNet", "ResidualBlock", "UNet"]


def make_generator(config: Config, channels_in: int, channels_out: int) -> UNet | ResNet:
    """A generator that the Config asks for, from images of `channels_in` channels to those of `channels_out`."""
    return networks.make_generator(config.architecture, channels_in, channels_out)
