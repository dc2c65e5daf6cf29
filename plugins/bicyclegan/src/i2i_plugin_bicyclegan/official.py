"""Checkpoints of junyanz/BicycleGAN, the authors' release.

Each network is a file of its own, a plain state dict (`latest_net_G.pth`, `latest_net_E.pth`), and no file says which
network it is. Keys are taken bare, as in a single file, or behind the name of the file's network ("G.", "E.", "D.",
"D2."), as when the files are read together. What tensors do not show stands in opt.txt beside them, else it is taken
for granted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import ClassVar

from pydantic import PositiveInt, TypeAdapter

from i2i_plugin_bicyclegan.config import ENCODED_SIDE, Activation, Config, Method, Norm
from i2i_registry import (
    CheckpointError,
    Clues,
    Drop,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
    checked_config,
    weight_shape,
)
from i2i_runtime import Licence
from i2i_toolkit import said_image_sizes

_STEM_ALL = "model.down.0.weight"
_STEM_INPUT = "model.model.0.weight"
_ENCODER_STEM = "conv.0.weight"
_ENCODER_HEAD = "fc.0.weight"
_ENCODER_SECOND_HEAD = "fcVar.0.weight"
_DISCRIMINATOR = "discriminators are needed for training only"
_BARE: Mapping[str, re.Pattern[str]] = {
    "G": re.compile(r"model\..+"),
    "E": re.compile(r"(?:conv|fc|fcVar)\..+"),
    "D": re.compile(r"model_\d.+"),
}
"""A network -> the names in its file, which have no prefix where the file is alone."""


def _generator_table(config: Config) -> NameTable:
    rows: dict[str, str] = {}
    for level in range(config.levels):
        down, down_norm, up, up_norm = _level_names(config, level)
        rows |= {f"G.{down}": f"generator.down.{level}.conv", f"G.{up}": f"generator.up.{level}.conv"}
        if level:
            rows |= {f"G.{down_norm}": f"generator.down.{level}.norm", f"G.{up_norm}": f"generator.up.{level}.norm"}
    return rows


def _level_names(config: Config, level: int) -> tuple[str, str, str, str]:
    """Return the release's names of a level's convolution and norm on the way down, and of those on the way up.

    With the latent at all levels, a level is three containers: the way down, what lies inside, the way up. With the
    latent at the input it is one sequence: activation, down, norm, what lies inside, activation, up, norm. Bilinear
    interpolation is two modules more before the convolution.
    """
    shift = 0 if config.upsampling == "transposed" else 2
    if config.latent_at == "all":
        inside = "model." + "submodule." * level
        # An activation comes before the way down, but not at the outermost level.
        return f"{inside}down.{min(level, 1)}", f"{inside}down.2", f"{inside}up.{1 + shift}", f"{inside}up.{2 + shift}"
    if level == 0:
        return "model.model.0", "", f"model.model.{3 + shift}", ""
    # Without a norm the levels inside and the way up come one module earlier; innermost there is none on the way down.
    place = 2 if config.norm == "none" else 3
    inside = _OUTER + f"{place}.model." * (level - 1)
    up = (3 if level == config.levels - 1 else place + 2) + shift
    return f"{inside}1", f"{inside}2", f"{inside}{up}", f"{inside}{up + 1}"


def _encoder_table(config: Config) -> NameTable:
    """Both kinds share the first convolution and the heads. Without norms, convolutions come earlier in their block."""
    rows = {"E.conv.0": "encoder.stem", "E.fc.0": "encoder.mean", "E.fcVar.0": "encoder.log_variance"}
    without = config.norm == "none"
    for block in range(config.encoder_downsamplings - 1):
        theirs, ours = f"E.conv.{block + 1}", f"encoder.blocks.{block}"
        if config.encoder == "resnet":
            first, second = (1, 3) if without else (2, 5)
            rows |= {
                f"{theirs}.conv.0": f"{ours}.norm1",
                f"{theirs}.conv.{first}": f"{ours}.conv1",
                f"{theirs}.conv.3": f"{ours}.norm2",
                f"{theirs}.conv.{second}.0": f"{ours}.conv2",
                f"{theirs}.shortcut.1": f"{ours}.shortcut",
            }
        else:
            place = (2 if without else 3) * block + 2
            rows |= {f"E.conv.{place}": f"{ours}.conv"} | ({} if without else {f"E.conv.{place + 1}": f"{ours}.norm"})
    return rows


class AuthorsRelease(OfficialFormat[Config]):
    """State dicts of a generator and of its encoder, without hyper-parameters."""

    source: ClassVar[str] = "junyanz/BicycleGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The terms of the release's code; its weights carry none of their own, and the images that they were "
        "trained on have theirs.",
    )
    option_files: ClassVar[tuple[str, ...]] = ("opt.txt",)
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (r"(?:D2?\.)?model_\d+\..+", _DISCRIMINATOR),
        (r"D2?\.model\..+", _DISCRIMINATOR),
    )

    def detect(self, shapes: TensorShapes) -> bool:
        """Return whether the containers of the generator are there, or the two heads of the encoder.

        pix2pix's release has a U-Net with the keys of the generator that takes its latent at the input. It interpolates
        nowhere, and has biases with instance norm only: such a one is of either release when it takes more channels
        than colours.
        """
        bare = _bare(shapes)
        if _STEM_ALL in bare or _has_encoder(bare):
            return True
        if not {"model.model.0.bias", f"{_OUTER}1.bias"} <= bare.keys():
            return False
        is_biased_otherwise = not {"batch", "none"}.isdisjoint(_norms(bare))
        return is_biased_otherwise or "model.model.5.weight" in bare or bare.get(_STEM_INPUT, (0, 0))[1:2] > (_COLOURS,)

    def fits(self, clues: Clues) -> bool:
        """Return whether the options name the method, or none."""
        return clues.allows("model", _METHODS)

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name the network of a file alone, which the names in it tell."""
        return {name: f"{net}.{name}" for name in names for net, bare in _BARE.items() if bare.fullmatch(name)}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Read the Config off the tensors; the activation, and what a generator alone does not show, off the options.

        What neither shows is the release's default. Raises CheckpointError for an encoder alone, and for networks that
        do not fit together.
        """
        bare = _bare(shapes)
        shown, latent_dim = _shown_fields(bare), _shown_latent_dim(bare)
        clues = clues.believed(_shown_options({**shown, "latent_dim": latent_dim}))
        findings = Findings(clues)
        channels_in = weight_shape(bare, _stem(bare), 4)[1]
        if latent_dim is None:
            # Beside an image at the input alone; what goes beyond three channels is taken for the latent.
            beyond = channels_in - _COLOURS if channels_in > _COLOURS else channels_in - 1
            latent_dim = findings.settle("latent_dim", clues.option("nz", _COUNT), beyond)
        fields = {
            "method": findings.settle("method", clues.option_among("model", _METHODS), "bicyclegan"),
            "source_channels": channels_in - latent_dim,
            "latent_dim": latent_dim,
            "activation": findings.settle("activation", clues.option_among("nl", _ACTIVATIONS), "relu"),
            **shown,
        }
        if shown["norm"] is None:
            fields["norm"] = findings.settle("norm", clues.option("norm", _NORM), "instance")
        if shown["encoder"] is None:
            smallest = max(2 ** _levels(bare), 2 * ENCODED_SIDE)
            sizes = said_image_sizes(clues, lambda side: side >= smallest and side.bit_count() == 1)
            fields["image_size"] = findings.settle("image_size", sizes, smallest)
        config = checked_config(
            Config,
            fields,
            found="shapes that no BicycleGAN has",
            expected="a generator with its latent, and an encoder of the same image size",
            fix="import the two files of one training",
        )
        return findings.inferred(config)

    def table(self, config: Config) -> NameTable:
        """Return the rows of the generator, and those of the encoder where there is one."""
        return {**_generator_table(config), **(_encoder_table(config) if config.encoder else {})}

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return one file for each network."""
        return [OfficialFile(f"latest_net_{name}.pth", name) for name in ("G", *("E" if config.encoder else ""))]


_COLOURS = 3
_OUTER = "model.model.1.model."
_NESTING = re.compile(r"(?:[23]\.model\.)+")

_METHODS: Mapping[str, Method] = {"bicycle_gan": "bicyclegan"}
"""The release's names of the methods: its repository has a pix2pix, too, which is none of ours."""
_ACTIVATIONS: Mapping[str, Activation] = {"relu": "relu", "lrelu": "leaky_relu", "elu": "elu"}
_COUNT = TypeAdapter[PositiveInt](PositiveInt)
_NORM = TypeAdapter[Norm](Norm)

_OPTIONS = {
    "where_add": "latent_at",
    "upsample": "upsampling",
    "ngf": "channels",
    "nef": "encoder_channels",
    "nz": "latent_dim",
    "norm": "norm",
}
"""The release's option -> the field that it is, of those that tensors show."""
_OPTION_VALUES: Mapping[object, str] = {"transposed": "basic"}
"""A value of a field -> what the release calls it, where that is another name."""

_NORM_PLACES: Sequence[Mapping[str, Norm]] = (
    dict.fromkeys((f"model.submodule.{place}" for place in ("down.2", "up.2", "up.4")), "batch"),
    {
        f"{_OUTER}2.model.1": "none",
        **dict.fromkeys((f"{_OUTER}{place}" for place in (2, 4, 6)), "batch"),
        f"{_OUTER}3.model.1": "instance",
    },
    {"conv.1.conv.0": "batch", "conv.1.conv.1": "none", "conv.1.conv.2": "instance"},
    {"conv.3": "batch", "conv.4": "none", "conv.5": "instance"},
)
"""For each kind of generator and of encoder: a module that has weights -> the norm that this shows; the first counts.

It is a batch norm, or a convolution in the place that it has with the norm. Where none is there, instance norms look
like none.
"""


# --- From tensors to what they show -----------------------------------------------------------------------------------


def _bare(shapes: TensorShapes) -> TensorShapes:
    """Keys without the name of the network's file; the discriminators, which say nothing of use, left out."""
    return {re.sub(r"^[GE]\.", "", key): shape for key, shape in shapes.items() if not re.match(r"D2?\.|model_\d", key)}


def _has_encoder(bare: TensorShapes) -> bool:
    return len({_ENCODER_HEAD, _ENCODER_SECOND_HEAD, _ENCODER_STEM} & bare.keys()) > 1


def _stem(bare: TensorShapes) -> str:
    """Return the name of the generator's first convolution. Raises CheckpointError for an encoder alone."""
    for stem in (_STEM_ALL, _STEM_INPUT):
        if stem in bare:
            return stem
    raise CheckpointError(
        found="an encoder of BicycleGAN without its generator",
        expected="the generator (latest_net_G.pth), and with it the encoder (latest_net_E.pth)",
        fix="i2i-registry import bicyclegan latest_net_G.pth latest_net_E.pth --as ...",
    )


def _shown_options(shown: Mapping[str, object]) -> dict[str, tuple[object, ...]]:
    """Return what the options of the training can be, by the fields that tensors show."""
    values = {option: shown.get(field) for option, field in _OPTIONS.items()}
    return {option: (_OPTION_VALUES.get(value, value),) for option, value in values.items() if value is not None}


def _shown_fields(bare: TensorShapes) -> dict[str, object]:
    """Return the fields of the Config that tensors show, but for those about the latent."""
    stem = _stem(bare)
    transposed, bilinear = ("model.up.1", "model.up.3") if stem == _STEM_ALL else ("model.model.3", "model.model.5")
    # A transposed kernel has its outputs second.
    last, outputs = (bilinear, 0) if f"{bilinear}.weight" in bare else (transposed, 1)
    return {
        "levels": _levels(bare),
        "target_channels": weight_shape(bare, f"{last}.weight", 4)[outputs],
        "latent_at": "all" if stem == _STEM_ALL else "input",
        "upsampling": "bilinear" if last == bilinear else "transposed",
        "channels": weight_shape(bare, stem, 4)[0],
        "norm": _common_norm(bare),
        **(_encoder_fields(bare) if _has_encoder(bare) else {"encoder": None}),
    }


def _levels(bare: TensorShapes) -> int:
    if _STEM_ALL in bare:
        return 1 + max(key.count("submodule.") for key in bare)
    depths = (len(match[0]) // len("3.model.") for key in bare if (match := _NESTING.match(key, len(_OUTER))))
    return 2 + max(depths, default=0)


def _norms(bare: TensorShapes) -> set[Norm]:
    """Return the norm that each network shows."""
    norms: set[Norm] = set()
    for places in _NORM_PLACES:
        norms.update(islice((norm for place, norm in places.items() if f"{place}.weight" in bare), 1))
    return norms


def _common_norm(bare: TensorShapes) -> Norm | None:
    """Return the norm of both networks, which is one option of the release; None where none shows it."""
    norms = _norms(bare)
    if len(norms) > 1:
        raise CheckpointError(
            found=f"a generator and an encoder with different norms: {' and '.join(sorted(norms))}",
            expected="one norm for both, as each training of the release has it",
            fix="import the two files of one training",
        )
    return norms.pop() if norms else None


def _shown_latent_dim(bare: TensorShapes) -> int | None:
    """Return the numbers in a latent; None where it cannot be told from the image's channels."""
    if _STEM_ALL in bare:
        inner = weight_shape(bare, "model.submodule.down.1.weight", 4)
        return inner[1] - weight_shape(bare, _STEM_ALL, 4)[0]
    return weight_shape(bare, _ENCODER_HEAD, 2)[0] if _has_encoder(bare) else None


def _encoder_fields(bare: TensorShapes) -> dict[str, object]:
    blocks = sum(re.fullmatch(r"conv\.\d+\.shortcut\.1\.weight", key) is not None for key in bare)
    kernels = sum(re.fullmatch(r"conv\.\d+\.weight", key) is not None and len(bare[key]) > 1 for key in bare)
    return {
        "encoder": "resnet" if blocks else "cnn",
        "encoder_channels": weight_shape(bare, _ENCODER_STEM, 4)[0],
        "image_size": ENCODED_SIDE * 2 ** (blocks + 1 if blocks else kernels),
    }


RELEASE_FORMAT = AuthorsRelease()
