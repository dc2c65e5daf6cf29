"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth`, `<epoch>_net_G_A.pth`.

Each file is the plain state dict of one generator, without hyper-parameters: it becomes a model of one direction.
`latest_net_G_A.pth` and `latest_net_G_B.pth`, read together, become a model of both.

The release saves the generators of pix2pix and of CycleGAN in one form. By itself, a ResNet with instance norm is taken
for CycleGAN's, as by the release's defaults; any other is when the user says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_cyclegan.config import Config
from i2i_registry.errors import CheckpointError
from i2i_registry.model import KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence
from i2i_toolkit.translators import checkpoints
from i2i_toolkit.translators.checkpoints import Generator, kind_of, norm_of, read_generator

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_runtime.operations import Record

GENERATORS = {"G_A": "a_to_b", "G_B": "b_to_a"}
"""The release's name of a generator -> ours."""

RESNET_SIZE = 256
"""pixels; taken for granted for ResNets, of whose pictures no tensor tells the size"""


def _key_map() -> KeyMap:
    prefixes = {"": "a_to_b", **{rf"{theirs}\.": ours for theirs, ours in GENERATORS.items()}}
    generators = [line for prefix, ours in prefixes.items() for line in checkpoints.generator_keys(prefix, ours)]
    return (checkpoints.UNUSED_STATISTICS, *generators, *checkpoints.discriminator_keys(r"D_[AB]\."))


class PyTorchRelease(OfficialFormat):
    """One generator, or two behind "G_A." and "G_B."."""

    source: ClassVar[str] = checkpoints.SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the pictures that they were trained on have theirs: check them before you publish.",
    )
    keys: ClassVar[KeyMap] = _key_map()

    def detect(self, shapes: Shapes) -> bool:
        """A generator by the name of its file, or by itself a ResNet with instance norm: others are pix2pix's."""
        prefix = _prefix(shapes)
        own = checkpoints.inside(shapes, prefix)
        kind = kind_of(own)
        return kind is not None and (bool(prefix) or (kind == "resnet" and norm_of(own) == "instance"))

    def infer_config(self, shapes: Shapes) -> Config:
        """Everything from shapes but the picture size, of which nothing tells; any other will do.

        Raises CheckpointError for the way back without the way there, which is a model only as a file alone.
        """
        prefix = _prefix(shapes)
        if prefix == "G_B.":
            raise CheckpointError(
                found="the generator G_B without G_A",
                expected="both of them, or one generator in a file alone",
                fix="i2i-registry import cyclegan latest_net_G_A.pth latest_net_G_B.pth --as ...",
            )
        found = read_generator(checkpoints.inside(shapes, prefix))
        net, defaults = found.architecture, Config()
        return Config(
            generator=net.kind,
            image_size=net.multiple if net.kind == "unet" else RESNET_SIZE,
            channels=net.channels,
            res_blocks=net.depth if net.kind == "resnet" else defaults.res_blocks,
            levels=net.depth if net.kind == "unet" else defaults.levels,
            channels_a=found.channels_in,
            channels_b=found.channels_out,
            norm=net.norm,
            dropout=net.dropout,
            directions="both" if any(key.startswith("G_B.") for key in shapes) else "a_to_b",
        )

    def example(self, config: Record) -> Shapes:
        """The state dict of one generator, or those of both together, built from the release's rules."""
        settings = cast("Config", config)
        net, a, b = settings.architecture, settings.channels_a, settings.channels_b
        forth = checkpoints.generator_example(Generator(net, a, b))
        if settings.directions == "a_to_b":
            return forth
        back = checkpoints.generator_example(Generator(net, b, a))
        return {f"G_A.{key}": shape for key, shape in forth.items()} | {
            f"G_B.{key}": shape for key, shape in back.items()
        }

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Batch norms get the counter that old files lack; statistics of instance norms are marked as unused."""
        return checkpoints.repaired(tensors)


def _prefix(shapes: Iterable[str]) -> str:
    """What the generator's keys begin with; the first where there are two."""
    return next((f"{name}." for name in GENERATORS if any(key.startswith(f"{name}.") for key in shapes)), "")


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
