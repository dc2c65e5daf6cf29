"""Generators in the files of junyanz/pytorch-CycleGAN-and-pix2pix: recognised, read and named by their tensors.

A file is the plain state dict of one network. The release keeps its options in a text file beside it; what tensors do
not show is told from there, and else taken for granted by the paper's plugin.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, TypeVar

from pydantic import PositiveInt, TypeAdapter

from i2i_registry.errors import CheckpointError
from i2i_registry.interfaces.official import (
    Clues,
    Evidence,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFormat,
    TensorShapes,
    checked_config,
    weight_shape,
)
from i2i_runtime.attribution import Licence
from i2i_runtime.records import Record
from i2i_toolkit.networks.architecture import FIRST_DROPOUT_LEVEL, Architecture, GeneratorKind, NormKind

C = TypeVar("C", bound=Record)

MOST_LEVELS = 12
"""U-Net levels that are counted to: images of 4096 pixels a side."""

UNET_FIRST = "model.model.0.weight"
UNET_SECOND = "model.model.1.model.1.weight"
_UNET_INTERPOLATED = "model.model.5.weight"
RESNET_FIRST = "model.1.weight"
RESNET_BLOCK = "model.10.conv_block.1.weight"

COLOUR = 3
"""channels that are taken for granted where the layer that would show them is missing, which the import then says"""

RESNET_SIZE = 256
"""pixels; taken for granted for ResNets, of whose images no tensor tells the size"""

_SIZES = ("crop_size", "fineSize")
"""What the release calls the side of its images, and what it was called before."""
_SIDE = TypeAdapter[PositiveInt](PositiveInt)
_YES = TypeAdapter[bool](bool)
_BLOCK_CONV = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.weight")
_KERNEL_RANK = 4
_CONV_AFTER_DROPOUT = 6
"""Place of a block's second convolution; without dropout it is one less, and a norm stands here."""


class Generator(NamedTuple):
    """What the tensors of a generator show."""

    architecture: Architecture
    """a U-Net's is without dropout, of which nothing tells"""
    channels_in: int
    channels_out: int


# --- Names ------------------------------------------------------------------------------------------------------------


def unet_level(level: int) -> str:
    """Where the release keeps U-Net level 2, 3, ...: each inside the one above."""
    return "model.model.1." + "model.3." * (level - 2) + "model."


def generator_table(net: Architecture, theirs: str, ours: str) -> NameTable:
    """Return the names of a generator's tensors: in the release behind `theirs`, in our network behind `ours`."""
    if net.kind == "resnet":
        return {f"{theirs}.model": f"{ours}.model"}
    rows = {f"{theirs}.model.model.0": f"{ours}.down.0.conv", f"{theirs}.model.model.3": f"{ours}.to_image"}
    for level in range(2, net.depth + 1):
        within = f"{theirs}.{unet_level(level)}"
        # The way up stands behind the levels inside, or, at the bottom, where they would be.
        up = 3 if level == net.depth else 5
        rows |= {
            f"{within}1": f"{ours}.down.{level - 1}.conv",
            f"{within}2": f"{ours}.down.{level - 1}.norm",
            f"{within}{up}": f"{ours}.up.{level - 2}.conv",
            f"{within}{up + 1}": f"{ours}.up.{level - 2}.norm",
        }
    return rows


def discriminator_left_out(prefix: str) -> tuple[str, str]:
    """Return the rule that leaves out a discriminator whose names begin with `prefix` (a regular expression)."""
    leaf = "(?:weight|bias|running_mean|running_var|num_batches_tracked)"
    return rf"{prefix}(?:model|net)\.\d+\.{leaf}", "discriminators are needed for training only"


def tensors_inside(shapes: TensorShapes, prefix: str) -> TensorShapes:
    """Return the tensors whose keys begin with `prefix`, without it."""
    return {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}


# --- What tensors show ------------------------------------------------------------------------------------------------


def generator_kind(shapes: TensorShapes) -> GeneratorKind | None:
    """Which of the release's generators these tensors are; None: neither.

    BicycleGAN's U-Nets have like names. They have a bias in front of batch norm, too, or interpolate on the way up.
    """
    unet = UNET_FIRST in shapes and UNET_SECOND in shapes and _UNET_INTERPOLATED not in shapes
    resnet = RESNET_FIRST in shapes and RESNET_BLOCK in shapes
    if not (unet or resnet) or (_is_biased(shapes) and _has_batch_norm(shapes)):
        return None
    return "unet" if unet else "resnet"


def generator_norm(shapes: TensorShapes) -> NormKind:
    """Return the norm of a generator: batch norm has weights, instance norm a bias in the convolution before it."""
    if _has_batch_norm(shapes):
        return "batch"
    return "instance" if _is_biased(shapes) else "none"


def _has_batch_norm(shapes: TensorShapes) -> bool:
    return not {f"{unet_level(2)}2.weight", "model.2.weight"}.isdisjoint(shapes)


def _is_biased(shapes: TensorShapes) -> bool:
    return not {"model.model.0.bias", "model.1.bias"}.isdisjoint(shapes)


def read_generator(shapes: TensorShapes) -> Generator:
    """Return what these tensors show, which are those of a generator by `generator_kind`.

    Raises CheckpointError for shapes that no generator of the release has.
    """
    return _read_unet(shapes) if generator_kind(shapes) == "unet" else _read_resnet(shapes)


def _read_unet(shapes: TensorShapes) -> Generator:
    depth = 1
    while depth <= MOST_LEVELS and f"{unet_level(depth + 1)}1.weight" in shapes:
        depth += 1
    if not FIRST_DROPOUT_LEVEL <= depth <= MOST_LEVELS:
        raise CheckpointError(
            found=f"a U-Net of {depth} levels",
            expected=f"{FIRST_DROPOUT_LEVEL} to {MOST_LEVELS}",
            fix="the checkpoint is not of the release, or was changed",
        )
    channels, channels_in, *_ = weight_shape(shapes, UNET_FIRST, 4)
    architecture = Architecture("unet", depth, channels, generator_norm(shapes), dropout=False)
    return Generator(architecture, channels_in, _channels_out(shapes, "model.model.3.bias"))


def _read_resnet(shapes: TensorShapes) -> Generator:
    places = [(int(match[1]), int(match[2])) for key in shapes if (match := _BLOCK_CONV.fullmatch(key))]
    # Where a block without dropout has a norm, one with dropout has its second convolution: the kernel's rank tells.
    dropout = any(
        place == _CONV_AFTER_DROPOUT and len(shapes[f"model.{number}.conv_block.{place}.weight"]) == _KERNEL_RANK
        for number, place in places
    )
    depth = len({number for number, _ in places})
    channels, channels_in, *_ = weight_shape(shapes, RESNET_FIRST, 4)
    architecture = Architecture("resnet", depth, channels, generator_norm(shapes), dropout)
    return Generator(architecture, channels_in, _channels_out(shapes, f"model.{17 + depth}.bias"))


def _channels_out(shapes: TensorShapes, last_bias: str) -> int:
    """Told by the bias of the last layer."""
    shape = shapes.get(last_bias, (COLOUR,))
    return shape[0] if len(shape) == 1 and shape[0] else COLOUR


# --- What options tell ------------------------------------------------------------------------------------------------


class Unseen(NamedTuple):
    """What tensors do not show."""

    image_size: int
    dropout: bool


def settle(generator: Generator, clues: Clues, *, dropout: bool) -> tuple[Unseen, Findings]:
    """Side of the images, and whether a U-Net has dropout, by the options of the training.

    `dropout` is the paper's default, which is taken for granted. Options that contradict the tensors are not used.
    """
    net = generator.architecture
    clues = clues.believed(_shown(net))
    findings = Findings(clues)
    sizes = said_image_sizes(clues, lambda side: side >= net.smallest_side and side % net.multiple == 0)
    size = findings.settle("image_size", sizes, net.multiple if net.kind == "unet" else RESNET_SIZE)
    if net.kind == "resnet":
        return Unseen(size, net.dropout), findings
    drops = [Evidence(not said.value, said.by) for said in clues.option("no_dropout", _YES)]
    return Unseen(size, findings.settle("dropout", drops, dropout)), findings


def said_image_sizes(clues: Clues, is_possible: Callable[[int], bool]) -> list[Evidence[int]]:
    """Return the sides of images that the options of a training name, in pixels, of those that are possible."""
    said = (each for name in _SIZES for each in clues.option(name, _SIDE))
    return [each for each in said if is_possible(each.value)]


def _shown(net: Architecture) -> dict[str, tuple[object, ...]]:
    """Return what the options of the training can be, by the tensors."""
    name = f"unet_{2**net.depth}" if net.kind == "unet" else f"resnet_{net.depth}blocks"
    options: dict[str, tuple[object, ...]] = {"netG": (name,), "ngf": (net.channels,), "norm": (net.norm,)}
    return options if net.kind == "unet" else options | {"no_dropout": (not net.dropout,)}


# --- What the formats of both papers share ----------------------------------------------------------------------------


class JunyanzFormat(OfficialFormat[C]):
    """Generators in files of junyanz/pytorch-CycleGAN-and-pix2pix; a paper's format says how the files name them."""

    source: ClassVar[str] = "junyanz/pytorch-CycleGAN-and-pix2pix"
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the images that they were trained on have theirs: check them before you publish.",
    )
    option_files: ClassVar[tuple[str, ...]] = ("train_opt.txt", "opt.txt", "test_opt.txt")
    """where the release keeps its options, and kept them before it had one for each phase"""
    methods: ClassVar[tuple[str, ...]]
    """what the release's option `model` calls the paper"""
    dropout: ClassVar[bool]
    """whether the paper's U-Net has dropout, which is taken for granted where no option tells"""

    @abstractmethod
    def generator(self, shapes: TensorShapes) -> TensorShapes:
        """Return the tensors of the only or first generator, named as in its file; none for another paper's files."""

    def may_be(self, shapes: TensorShapes) -> bool:
        """Return whether there is a generator of the release, whichever."""
        return generator_kind(self.generator(shapes)) is not None

    def fits(self, clues: Clues) -> bool:
        """Return whether the options name one of the paper's methods, or none."""
        return clues.allows("model", self.methods)

    def read(self, shapes: TensorShapes, clues: Clues) -> tuple[Generator, Unseen, Findings]:
        """Return what a generator's tensors show, what only options tell, and who said so.

        Raises CheckpointError for shapes that no generator of the release has.
        """
        found = read_generator(shapes)
        return found, *settle(found, clues, dropout=self.dropout)

    @staticmethod
    def inferred(config: type[C], fields: Mapping[str, object], findings: Findings) -> InferredConfig[C]:
        """Return the Config of these fields. Raises CheckpointError for those that no generator of ours has."""
        return findings.inferred(
            checked_config(
                config,
                fields,
                found="a generator that cannot be",
                expected="sizes and channels that fit each other",
                fix="the file is of another network, or was changed",
            )
        )
