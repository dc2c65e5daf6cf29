"""Checkpoints of assafshocher/InGAN: `checkpoint_0075000.pth.tar`, one file with both networks and their optimizers.

It holds no hyper-parameters; the generator's are read off its tensors. What torch 0.4 and 1.0 left out or saved beside
it needs no repair: the second vector of a spectral norm follows from the first one at every pass, and a normalised
kernel from the raw one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from i2i_plugin_ingan.config import Config
from i2i_plugin_ingan.networks.layers import SMALLEST_NORM
from i2i_registry import (
    Clues,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
    numbered,
)
from i2i_runtime import Licence

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = "assafshocher/InGAN"

ENTRY = "G.entry_block.1.weight_orig"
_SIGNATURE = frozenset(
    {
        ENTRY,
        "G.final_block.1.weight",
        "G.downscale_block.conv_0.1.weight_orig",
        "G.upscale_block.conv_0.1.weight_orig",
        "G.bottleneck_block.0.conv_block.0.weight_orig",
    }
)
_DOWNSCALE = r"G\.downscale_block\.conv_(\d+)\.1\.weight_orig"
_BLOCK = r"G\.bottleneck_block\.(\d+)\.conv_block\.0\.weight_orig"

_SPECTRAL = {"weight_orig": "weight", "bias": "bias", "weight_u": "direction"}
"""The release's names of the tensors of a convolution with spectral norm -> ours."""

_BOTTLENECK = {0: ("narrow.conv", "narrow.norm"), 4: ("inner.conv", "inner.norm"), 7: ("widen", "norm")}
"""Place of a convolution in a block of the generator, whose norm is the next -> our names of both."""

_CRITIC = {0: ("convs.0", "norms.0"), 3: ("convs.1", "norms.1"), 6: ("convs.2", "norms.2"), 9: ("judge", "")}

_CONV = (
    r"G\.(?:entry_block\.1|(?:down|up)scale_block\.conv_\d+\.1|bottleneck_block\.\d+\.conv_block\.[047])"
    r"|D\.nets\.\d+\.[0369]"
)
_FOLLOWS = "follows from weight_orig and weight_u at every pass"
_TRAINING = "needed to go on with the release's training only"


def _spectral(theirs: str, ours: str) -> NameTable:
    return {f"{theirs}.{their}": f"{ours}.{our}" for their, our in _SPECTRAL.items()}


def critic_table(nets: int, theirs: str = "D", ours: str = "critic") -> NameTable:
    """Return the critic's names, which a checkpoint keeps for training only."""
    rows: dict[str, str] = {}
    for number in range(nets):
        for place, (conv, norm) in _CRITIC.items():
            rows |= _spectral(f"{theirs}.nets.{number}.{place}", f"{ours}.nets.{number}.{conv}")
            rows |= {f"{theirs}.nets.{number}.{place + 1}": f"{ours}.nets.{number}.{norm}"} if norm else {}
    return rows


class InGANRelease(OfficialFormat[Config]):
    """Generator, critic and optimizers in one dictionary; no hyper-parameters."""

    source: ClassVar[str] = SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="LicenseRef-Weizmann-Academic-Non-Commercial",
        notes="The authors' code, with which such weights are made, is under the Weizmann Institute's Academic Non "
        "Commercial Software Code License: academic and other non-commercial use only, derived works under the same "
        "terms; commercial rights are Yeda's. Patents may exist.",
        non_commercial=True,
    )
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (rf"(?:{_CONV})\.weight(?:_v)?", _FOLLOWS),
        (r"D\.nets\.\d+\.[0369]\.(?:weight_orig|bias|weight_u)", _TRAINING),
        (r"D\.nets\.\d+\.[147]\.(?:weight|bias|running_mean|running_var|num_batches_tracked)", _TRAINING),
        (r"optim_[GD]\.state\.\d+\.(step|exp_avg|exp_avg_sq)", _TRAINING),
    )

    def detect(self, shapes: TensorShapes) -> bool:
        """Recognise it by a generator under "G" with the release's five parts."""
        return shapes.keys() >= _SIGNATURE and len(shapes[ENTRY]) == len(("k", "c", "y", "x"))

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Read width, downscales and blocks off the tensors.

        The size of the training image is in no tensor: it gets the default.
        """
        downscales, blocks = len(numbered(shapes, _DOWNSCALE)), len(numbered(shapes, _BLOCK))
        config, findings = Config(channels=shapes[ENTRY][0], downscales=downscales, blocks=blocks), Findings(clues)
        size = {name: findings.settle(name, (), getattr(config, name)) for name in ("height", "width")}
        return findings.inferred(config.model_copy(update=size))

    def table(self, config: Config) -> NameTable:
        """Return the rows of the generator."""
        return generator_table(config)

    def complete(self, tensors: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
        """Return the second vector of each spectral norm, by half a power iteration from the first."""
        del config
        completed = dict(tensors)
        for key, first in tensors.items():
            if key.endswith(".weight_u"):
                conv = key.removesuffix(".weight_u")
                second = tensors[f"{conv}.weight_orig"].flatten(1).T @ first
                completed[f"{conv}.weight_v"] = second / second.norm().clamp_min(SMALLEST_NORM)
        return completed

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return one file, named as that of a training that ended."""
        del config
        return (OfficialFile("checkpoint_0075000.pth.tar", form="networks"),)


def generator_table(config: Config, theirs: str = "G", ours: str = "generator") -> NameTable:
    """Return the generator's names."""
    rows = {f"{theirs}.final_block.1": f"{ours}.to_image"}
    places = {(f"{theirs}.entry_block", 1): (f"{ours}.entry.conv", f"{ours}.entry.norm")}
    for level in range(config.downscales):
        for part, our in (("downscale", "down"), ("upscale", "up")):
            place = f"{theirs}.{part}_block.conv_{level}"
            places[place, 1] = (f"{ours}.{our}.{level}.conv", f"{ours}.{our}.{level}.norm")
    for number in range(config.blocks):
        for place, (conv, norm) in _BOTTLENECK.items():
            block = f"{theirs}.bottleneck_block.{number}.conv_block"
            places[block, place] = (f"{ours}.blocks.{number}.{conv}", f"{ours}.blocks.{number}.{norm}")
    for (block, place), (conv, norm) in places.items():
        rows |= {**_spectral(f"{block}.{place}", conv), f"{block}.{place + 1}": norm}
    return rows


INGAN_FORMAT = InGANRelease()
"""What the models of this plugin import."""
