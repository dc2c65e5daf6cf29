"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth`, `<epoch>_net_G_A.pth`.

Each file is the plain state dict of one generator, without hyper-parameters: it becomes a model of one direction.
`latest_net_G_A.pth` and `latest_net_G_B.pth`, read together, become a model of both.

The release saves the generators of pix2pix and of CycleGAN in one form. By itself, a ResNet with instance norm is taken
for CycleGAN's, as by the release's defaults; any other is when the user or the release's option file says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_cyclegan.config import Config, serves_both
from i2i_registry import CheckpointError, Clues, Findings, Inferred, KeyMap, OfficialFormat, Shapes
from i2i_runtime import Licence
from i2i_toolkit.networks import checkpoints
from i2i_toolkit.networks.checkpoints import Generator, kind_of, norm_of, read_generator

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_runtime import Record

GENERATORS = {"G_A": "a_to_b", "G_B": "b_to_a"}
"""The release's name of a generator -> ours."""
_DIRECTIONS = tuple(f"{name}." for name in GENERATORS)


def _key_map() -> KeyMap:
    prefixes = {r"(?:G\.)?": "a_to_b", **{rf"{theirs}\.": ours for theirs, ours in GENERATORS.items()}}
    generators = [line for prefix, ours in prefixes.items() for line in checkpoints.generator_keys(prefix, ours)]
    return (checkpoints.UNUSED_STATISTICS, *generators, *checkpoints.discriminator_keys(r"D_[AB]\."))


class PyTorchRelease(OfficialFormat):
    """One generator, or two behind "G_A." and "G_B."."""

    source: ClassVar[str] = checkpoints.SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the images that they were trained on have theirs: check them before you publish.",
    )
    option_files: ClassVar[tuple[str, ...]] = checkpoints.OPTION_FILES
    keys: ClassVar[KeyMap] = _key_map()

    def detect(self, shapes: Shapes) -> bool:
        """A generator by the name of its direction, or by itself a ResNet with instance norm: others are pix2pix's."""
        own = _generator(shapes)
        kind = kind_of(own)
        named = _prefix(shapes) in _DIRECTIONS
        return kind is not None and (named or (kind == "resnet" and norm_of(own) == "instance"))

    def may_be(self, shapes: Shapes) -> bool:
        """Any generator of the release."""
        return kind_of(_generator(shapes)) is not None

    def fits(self, clues: Clues) -> bool:
        """By the option that names the method; "test" is for one of its generators."""
        return checkpoints.fits(clues, ("cycle_gan", "test"))

    def infer_config(self, shapes: Shapes) -> Config:
        """Everything from shapes. What no tensor shows is the release's default for CycleGAN.

        Raises CheckpointError for the way back without the way there, which is a model only as a file alone, and for
        generators between images that one model cannot take.
        """
        return _config_of(shapes, Clues())[0]

    def infer(self, shapes: Shapes, clues: Clues) -> Inferred:
        """Image size, and a U-Net's dropout, by the options of the training. Raises as `infer_config` does."""
        config, findings = _config_of(shapes, clues)
        return findings.inferred(config)

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


def _config_of(shapes: Shapes, clues: Clues) -> tuple[Config, Findings]:
    prefix = _prefix(shapes)
    if prefix == "G_B.":
        raise CheckpointError(
            found="the generator G_B without G_A",
            expected="both of them, or one generator in a file alone",
            fix="i2i-registry import cyclegan latest_net_G_A.pth latest_net_G_B.pth --as ...",
        )
    found = read_generator(_generator(shapes))
    unseen, findings = checkpoints.settle(found, clues, dropout=False)
    net, defaults = found.architecture, Config()
    both = any(key.startswith("G_B.") for key in shapes)
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
    return checkpoints.checked(Config, fields), findings


def _generator(shapes: Shapes) -> Shapes:
    """The tensors of the first generator, named as in its file; none where pix2pix's discriminator lies beside it."""
    return {} if any(key.startswith("D.") for key in shapes) else checkpoints.inside(shapes, _prefix(shapes))


def _prefix(shapes: Iterable[str]) -> str:
    """What the generator's keys begin with; the first where there are two."""
    return next((f"{name}." for name in (*GENERATORS, "G") if any(key.startswith(f"{name}.") for key in shapes)), "")


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
