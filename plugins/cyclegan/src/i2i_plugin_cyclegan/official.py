"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth`, `<epoch>_net_G_A.pth`.

Each file is the plain state dict of one generator, without hyper-parameters: it becomes a model of one direction.
`latest_net_G_A.pth` and `latest_net_G_B.pth`, read together, become a model of both.

The release saves the generators of pix2pix and of CycleGAN in one form. By itself, a ResNet with instance norm is taken
for CycleGAN's, as by the release's defaults; any other is when the user or the release's option file says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

from i2i_plugin_cyclegan.config import Config, serves_both
from i2i_registry import CheckpointError, Clues, Drop, InferredConfig, NameTable, OfficialFile, TensorShapes
from i2i_toolkit import (
    JunyanzFormat,
    discriminator_left_out,
    generator_kind,
    generator_norm,
    generator_table,
    tensors_inside,
)

GENERATORS = {"G_A": "a_to_b", "G_B": "b_to_a"}
"""The release's name of a generator -> ours."""
_DIRECTIONS = tuple(f"{name}." for name in GENERATORS)


class PyTorchRelease(JunyanzFormat[Config]):
    """Two generators, "G_A." and "G_B.", or one, "G."; a file alone has bare names."""

    methods = ("cycle_gan", "test")
    dropout = False
    left_out: ClassVar[Sequence[tuple[str, str]]] = (discriminator_left_out(r"D_[AB]\."),)

    def detect(self, shapes: TensorShapes) -> bool:
        """Return whether a generator has the name of a direction, or is by itself a ResNet with instance norm.

        Others are pix2pix's.
        """
        own = self.generator(shapes)
        kind = generator_kind(own)
        named = _prefix(shapes) in _DIRECTIONS
        return kind is not None and (named or (kind == "resnet" and generator_norm(own) == "instance"))

    def generator(self, shapes: TensorShapes) -> TensorShapes:
        """Return the tensors of the first generator, named as in its file.

        None where pix2pix's discriminator lies beside it.
        """
        return {} if any(key.startswith("D.") for key in shapes) else tensors_inside(shapes, _prefix(shapes))

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name a generator alone "G.", whatever its file is called."""
        if any(name.startswith("G_B.") for name in names):
            return {}
        known = ("G.", "G_A.", "D_A.", "D_B.")
        there = {name: f"G.{name.removeprefix('G_A.')}" for name in names if name.startswith("G_A.")}
        return there | {name: f"G.{name}" for name in names if not name.startswith(known)}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Everything from shapes, but for the image size, and a U-Net's dropout: by the options of the training.

        Raises CheckpointError for the way back without the way there, which is a model only as a file alone, and for
        generators between images that one model cannot take.
        """
        prefix = _prefix(shapes)
        if prefix == "G_B.":
            raise CheckpointError(
                found="the generator G_B without G_A",
                expected="both of them, or one generator in a file alone",
                fix="i2i-registry import cyclegan latest_net_G_A.pth latest_net_G_B.pth --as ...",
            )
        found, unseen, findings = self.read(tensors_inside(shapes, prefix), clues)
        net, defaults = found.architecture, Config()
        both = prefix == "G_A."
        if both and not serves_both(found.channels_in, found.channels_out):
            raise CheckpointError(
                found=f"generators between images of {found.channels_in} and of {found.channels_out} channels",
                expected="one number for both, or 1 and 3, so that one operation takes the images of either domain",
                fix="import each generator by itself, as a model of one direction",
            )
        fields = {
            "generator": net.kind,
            "image_size": unseen.image_size,
            "channels": net.channels,
            "res_blocks": net.depth if net.kind == "resnet" else defaults.res_blocks,
            "levels": net.depth if net.kind == "unet" else defaults.levels,
            "channels_a": found.channels_in,
            "channels_b": found.channels_out,
            "norm": net.norm,
            "dropout": unseen.dropout,
            "directions": "both" if both else "a_to_b",
        }
        return self.inferred(Config, fields, findings)

    def table(self, config: Config) -> NameTable:
        """Return the rows of both generators, or of the only one."""
        names = GENERATORS if config.directions == "both" else {"G": "a_to_b"}
        tables = (generator_table(config.architecture, theirs, ours) for theirs, ours in names.items())
        return {theirs: ours for table in tables for theirs, ours in table.items()}

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return one file for each generator."""
        names = GENERATORS if config.directions == "both" else ("G",)
        return [OfficialFile(f"latest_net_{name}.pth", name) for name in names]


def _prefix(shapes: Iterable[str]) -> str:
    """Return what the generator's keys begin with; the first where there are two."""
    return next((f"{name}." for name in (*GENERATORS, "G") if any(key.startswith(f"{name}.") for key in shapes)), "")


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
