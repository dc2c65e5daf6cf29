"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `<epoch>_net_G.pth`, one generator in a plain state dict.

The release saves the generators of pix2pix and of CycleGAN in one form. A U-Net, and a ResNet with batch norm, are
taken for pix2pix's, as by the release's defaults; any other is when the user or the release's option file says so, or
when the discriminator lies beside it (`<epoch>_net_D.pth`), as in the folder of a training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from i2i_plugin_pix2pix.config import Config
from i2i_registry import (
    Clues,
    Drop,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
    canonical_shapes,
)
from i2i_runtime import Licence
from i2i_toolkit.networks import checkpoints

_OF_BICYCLEGAN = ("E.", "D2.", "D.model_")


class PyTorchRelease(OfficialFormat[Config]):
    """One generator, "G.", and perhaps its discriminator, "D."; a file alone has bare names."""

    source: ClassVar[str] = checkpoints.SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the images that they were trained on have theirs: check them before you publish.",
    )
    left_out: ClassVar[Sequence[tuple[str, str]]] = (checkpoints.discriminator_left_out(r"D\."),)
    option_files: ClassVar[tuple[str, ...]] = checkpoints.OPTION_FILES

    def detect(self, shapes: TensorShapes) -> bool:
        """Return a U-Net or a ResNet, by itself not one with instance norm: that is CycleGAN's by default."""
        own = self._generator(shapes)
        kind = checkpoints.generator_kind(own)
        with_discriminator = any(key.startswith("D.") for key in shapes)
        return kind == "unet" or (kind == "resnet" and (with_discriminator or checkpoints.norm_of(own) != "instance"))

    def may_be(self, shapes: TensorShapes) -> bool:
        """Any generator of the release."""
        return checkpoints.generator_kind(self._generator(shapes)) is not None

    def fits(self, clues: Clues) -> bool:
        """By the option that names the method."""
        return checkpoints.fits(clues, ("pix2pix",))

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name a file alone the generator's."""
        return {name: f"G.{name}" for name in names if not name.startswith(("G.", "D."))}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Everything from shapes, but for the image size, and a U-Net's dropout: by the options of the training.

        Where there are none, it is the release's default for pix2pix: with dropout, and 256 pixels for a ResNet.
        """
        found = checkpoints.read_generator(checkpoints.inside(shapes, "G."))
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
        return findings.inferred(checkpoints.generator_config(Config, fields))

    def table(self, config: Config) -> NameTable:
        """Return the generator's."""
        return checkpoints.generator_table(config.architecture, "G", "generator")

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return the generator's."""
        del config
        return (OfficialFile("latest_net_G.pth", "G"),)

    def _generator(self, shapes: TensorShapes) -> TensorShapes:
        """Return the tensors of the generator, named as in its file; none beside other files that pix2pix has not."""
        if any(key.startswith(_OF_BICYCLEGAN) for key in shapes):
            return {}
        return checkpoints.inside(canonical_shapes(self, shapes), "G.")


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
