"""The networks of pix2pix (Isola et al., CVPR 2017, arXiv:1611.07004).

CycleGAN is trained with the same ones, so they lie in the toolkit.
"""

from __future__ import annotations

import i2i_toolkit
from i2i_plugin_pix2pix.config import Config
from i2i_toolkit import ResNet, UNet


def make_generator(config: Config) -> UNet | ResNet:
    """Return the generator that the Config asks for."""
    return i2i_toolkit.make_generator(config.architecture, config.input_channels, config.output_channels)
