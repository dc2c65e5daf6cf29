"""The networks of pix2pix (Isola et al., CVPR 2017, arXiv:1611.07004).

CycleGAN is trained with the same ones, so their layers lie in `i2i_toolkit.networks`.
"""

from __future__ import annotations

from i2i_plugin_pix2pix.config import Config
from i2i_toolkit import BatchNorm, Dropout, PatchDiscriminator, PixelDiscriminator, ResNet, TestTime, UNet
from i2i_toolkit.networks import generators as networks

__all__ = ["BatchNorm", "Dropout", "PatchDiscriminator", "PixelDiscriminator", "ResNet", "TestTime", "UNet"]


def make_generator(config: Config) -> UNet | ResNet:
    """Return the generator that the Config asks for."""
    return networks.make_generator(config.architecture, config.input_channels, config.output_channels)
