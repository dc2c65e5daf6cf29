"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `<epoch>_net_G.pth`, one generator in a plain state dict.

The release saves the generators of pix2pix and of CycleGAN in one form. A U-Net, and a ResNet with batch norm, are
taken for pix2pix's, as by the release's defaults; any other is when the user or the release's option file says so, or
when the discriminator lies beside it (`<epoch>_net_D.pth`), as in the folder of a training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_pix2pix.config import Config
from i2i_registry import Clues, Findings, Inferred, KeyMap, OfficialFormat, Shapes
from i2i_runtime import Licence
from i2i_toolkit.networks import checkpoints
from i2i_toolkit.networks.checkpoints import Generator

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_runtime import Record

_OF_BICYCLEGAN = ("E.", "D2.", "D.model_")


class PyTorchRelease(OfficialFormat):
    """One generator, perhaps behind "G.", and then perhaps its discriminator behind "D."."""

    source: ClassVar[str] = checkpoints.SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the images that they were trained on have theirs: check them before you publish.",
    )
    option_files: ClassVar[tuple[str, ...]] = checkpoints.OPTION_FILES
    keys: ClassVar[KeyMap] = (
        checkpoints.UNUSED_STATISTICS,
        *checkpoints.generator_keys(r"(?:G\.)?", "generator"),
        *checkpoints.discriminator_keys(r"D\."),
    )

    def detect(self, shapes: Shapes) -> bool:
        """A U-Net or a ResNet, by itself not one with instance norm: that is CycleGAN's by default."""
        own = _generator(shapes)
        kind = checkpoints.kind_of(own)
        with_discriminator = any(key.startswith("D.") for key in shapes)
        return kind == "unet" or (kind == "resnet" and (with_discriminator or checkpoints.norm_of(own) != "instance"))

    def may_be(self, shapes: Shapes) -> bool:
        """Any generator of the release."""
        return checkpoints.kind_of(_generator(shapes)) is not None

    def fits(self, clues: Clues) -> bool:
        """By the option that names the method."""
        return checkpoints.fits(clues, ("pix2pix",))

    def infer_config(self, shapes: Shapes) -> Config:
        """Everything from shapes. What no tensor shows is the release's default for pix2pix.

        A U-Net does not tell whether it had dropout (by default it has), nor a ResNet its image size (256).
        """
        return _config_of(shapes, Clues())[0]

    def infer(self, shapes: Shapes, clues: Clues) -> Inferred:
        """Image size, and a U-Net's dropout, by the options of the training."""
        config, findings = _config_of(shapes, clues)
        return findings.inferred(config)

    def example(self, config: Record) -> Shapes:
        """The generator's state dict, built from the release's rules."""
        settings = cast("Config", config)
        generator = Generator(settings.architecture, settings.input_channels, settings.output_channels)
        return checkpoints.generator_example(generator)

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Batch norms get the counter that old files lack; statistics of instance norms are marked as unused."""
        return checkpoints.repaired(tensors)


def _config_of(shapes: Shapes, clues: Clues) -> tuple[Config, Findings]:
    found = checkpoints.read_generator(_generator(shapes))
    unseen, findings = checkpoints.settle(found, clues, dropout=True)
    net = found.architecture
    fields = {
        "generator": net.kind,
        "image_size": unseen.image_size,
        "depth": net.depth,
        "channels": net.channels,
        "input_channels": found.channels_in,
        "output_channels": found.channels_out,
        "norm": net.norm,
        "dropout": unseen.dropout,
    }
    return checkpoints.checked(Config, fields), findings


def _generator(shapes: Shapes) -> Shapes:
    """The tensors of the generator, named as in its file; none where other files lie beside that pix2pix has not."""
    if any(key.startswith(_OF_BICYCLEGAN) for key in shapes):
        return {}
    return checkpoints.inside(shapes, "G.") or shapes


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
