"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `<epoch>_net_G.pth`, one generator in a plain state dict.

The release saves the generators of pix2pix and of CycleGAN in one form. A U-Net, and a ResNet with batch norm, are
taken for pix2pix's, as by the release's defaults; any other is when the user or the release's option file says so, or
when the discriminator lies beside it (`<epoch>_net_D.pth`), as in the folder of a training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from i2i_plugin_pix2pix.config import Config
from i2i_registry import Clues, Drop, InferredConfig, NameTable, OfficialFile, TensorShapes, canonical_shapes
from i2i_toolkit import (
    JunyanzFormat,
    discriminator_left_out,
    generator_kind,
    generator_norm,
    generator_table,
    tensors_inside,
)

_OF_BICYCLEGAN = ("E.", "D2.", "D.model_")


class PyTorchRelease(JunyanzFormat[Config]):
    """One generator, "G.", and perhaps its discriminator, "D."; a file alone has bare names."""

    methods = ("pix2pix",)
    dropout = True
    left_out: ClassVar[Sequence[tuple[str, str]]] = (discriminator_left_out(r"D\."),)

    def detect(self, shapes: TensorShapes) -> bool:
        """Return whether it is a U-Net or a ResNet; one with instance norm that lies alone is CycleGAN's by default."""
        own = self.generator(shapes)
        kind = generator_kind(own)
        with_discriminator = any(key.startswith("D.") for key in shapes)
        return kind == "unet" or (kind == "resnet" and (with_discriminator or generator_norm(own) != "instance"))

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name a file alone the generator's."""
        return {name: f"G.{name}" for name in names if not name.startswith(("G.", "D."))}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Everything from shapes, but for the image size, and a U-Net's dropout: by the options of the training.

        Where there are none, it is the release's default for pix2pix: with dropout, and 256 pixels for a ResNet.
        """
        found, unseen, findings = self.read(tensors_inside(shapes, "G."), clues)
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
        return self.inferred(Config, fields, findings)

    def table(self, config: Config) -> NameTable:
        """Return the rows of the generator."""
        return generator_table(config.architecture, "G", "generator")

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return the file of the generator."""
        del config
        return (OfficialFile("latest_net_G.pth", "G"),)

    def generator(self, shapes: TensorShapes) -> TensorShapes:
        """Return the tensors of the generator, named as in its file; none beside other files that pix2pix has not."""
        if any(key.startswith(_OF_BICYCLEGAN) for key in shapes):
            return {}
        return tensors_inside(canonical_shapes(self, shapes), "G.")


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
