"""Checkpoints of junyanz/BicycleGAN, the authors' release.

Each network is a file of its own, a plain state dict (`latest_net_G.pth`, `latest_net_E.pth`), and no file says which
network it is. Keys are taken bare, as in a single file, or behind the name of the file's network ("G.", "E.", "D.",
"D2."), as when the files are read together. What tensors do not show stands in opt.txt beside them, else it is taken
for granted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

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
)
from i2i_runtime import Licence

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
    for block in range(config.encoder_halvings - 1):
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
        """Return the containers of the generator, or the two heads of the encoder.

        pix2pix's release has a U-Net with the keys of the generator that takes its latent at the input. It interpolates
        nowhere, and has biases with instance norm only: such a one is of either release when it takes more channels
        than colours.
        """
        bare = _bare(shapes)
        if _STEM_ALL in bare or _has_encoder(bare):
            return True
        if not {"model.model.0.bias", f"{_OUTER}1.bias"} <= bare.keys():
            return False
        with_norm = {f"{_OUTER}{place}.weight" for place in (2, 4, 6)}
        is_biased_otherwise = not with_norm.isdisjoint(bare) or _is_without_norms(bare)
        return is_biased_otherwise or "model.model.5.weight" in bare or bare.get(_STEM_INPUT, (0, 0))[1:2] > (_COLOURS,)

    def fits(self, clues: Clues) -> bool:
        """By the option that names the method."""
        said = clues.option("model", TypeAdapter(str))
        return not said or said[0].value in _METHODS

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Return a file alone says by its names which network it is."""
        return {name: f"{net}.{name}" for name in names for net, bare in _BARE.items() if bare.fullmatch(name)}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """By the tensors; activation, and what a generator alone does not show, by the options of the training.

        What neither shows is the release's default. Raises CheckpointError for an encoder alone, and for networks that
        do not fit together.
        """
        bare = _bare(shapes)
        if _STEM_ALL not in bare and _STEM_INPUT not in bare:
            raise CheckpointError(
                found="an encoder of BicycleGAN without its generator",
                expected="the generator (latest_net_G.pth), and with it the encoder (latest_net_E.pth)",
                fix="i2i-registry import bicyclegan latest_net_G.pth latest_net_E.pth --as ...",
            )
        encoder = _read_encoder(bare) if _has_encoder(bare) else None
        generator = _read_at_all_levels(bare) if _STEM_ALL in bare else _read_at_input(bare)
        norm = _common_norm(generator, encoder)
        clues = clues.believed(_options(generator, encoder, norm))
        findings = Findings(clues)
        latent_dim = _latent_dim(generator, encoder, findings, clues)
        fields: dict[str, object] = {
            "method": findings.settle("method", clues.option_among("model", _METHODS), "bicyclegan"),
            "levels": generator.levels,
            "source_channels": generator.channels_in - latent_dim,
            "target_channels": generator.target_channels,
            "latent_dim": latent_dim,
            "latent_at": generator.latent_at,
            "upsampling": generator.upsampling,
            "activation": findings.settle("activation", clues.option_among("nl", _ACTIVATIONS), "relu"),
            "norm": norm or findings.settle("norm", clues.option("norm", _NORM_OPTION), "instance"),
            "channels": generator.channels,
            "encoder": encoder.kind if encoder else None,
        }
        if encoder:
            fields |= {"encoder_channels": encoder.channels, "image_size": ENCODED_SIDE * 2**encoder.halvings}
        else:
            fields["image_size"] = _image_size(generator, findings, clues)
        config = checked_config(
            Config,
            fields,
            found="shapes that no BicycleGAN has",
            expected="a generator with its latent, and an encoder of the same image size",
            fix="import the two files of one training",
        )
        return findings.inferred(config)

    def table(self, config: Config) -> NameTable:
        """Return the generator's, and the encoder's where there is one."""
        return {**_generator_table(config), **(_encoder_table(config) if config.encoder else {})}

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """One for each network."""
        return [OfficialFile(f"latest_net_{name}.pth", name) for name in ("G", *("E" if config.encoder else ""))]


Upsampling = Literal["transposed", "bilinear"]

_COLOURS = 3
_KERNEL_AXES = 4
_OUTER = "model.model.1.model."
_NESTING = re.compile(r"(?:[23]\.model\.)+")

_METHODS: Mapping[str, Method] = {"bicycle_gan": "bicyclegan"}
"""The release's names of the methods: its repository has a pix2pix, too, which is none of ours."""

_COUNT = TypeAdapter[PositiveInt](PositiveInt)
_NORM_OPTION = TypeAdapter[Norm](Norm)
_ACTIVATIONS: Mapping[str, Activation] = {"relu": "relu", "lrelu": "leaky_relu", "elu": "elu"}
_UPSAMPLINGS: Mapping[Upsampling, str] = {"transposed": "basic", "bilinear": "bilinear"}
_SIZES = ("crop_size", "fineSize")
"""What the release calls the side of its images, and what it was called before."""


@dataclass(frozen=True, slots=True)
class _Generator:
    """What a generator's tensors show."""

    latent_at: Literal["all", "input"]
    levels: int
    channels_in: int
    latent_dim: int | None
    """None: it cannot be told from the image's channels"""
    target_channels: int
    channels: int
    upsampling: Upsampling
    norm: Norm | None
    """None: instance norms look like none"""


@dataclass(frozen=True, slots=True)
class _Encoder:
    """What an encoder's tensors show."""

    kind: Literal["resnet", "cnn"]
    halvings: int
    latent_dim: int
    channels: int
    norm: Norm | None
    """None: instance norms look like none"""


def _options(generator: _Generator, encoder: _Encoder | None, norm: Norm | None) -> dict[str, tuple[object, ...]]:
    """Return what the options of the training can be, by the tensors."""
    options: dict[str, tuple[object, ...]] = {
        "where_add": (generator.latent_at,),
        "upsample": (_UPSAMPLINGS[generator.upsampling],),
        "ngf": (generator.channels,),
    }
    if norm:
        options["norm"] = (norm,)
    if encoder:
        options |= {"nef": (encoder.channels,), "nz": (encoder.latent_dim,)}
    if generator.latent_dim is not None:
        options["nz"] = (generator.latent_dim,)
    return options


def _common_norm(generator: _Generator, encoder: _Encoder | None) -> Norm | None:
    """Return the norm of both, which is one option of the release."""
    norms: set[Norm] = {network.norm for network in (generator, encoder) if network and network.norm}
    if len(norms) > 1:
        raise CheckpointError(
            found=f"a generator and an encoder with different norms: {' and '.join(sorted(norms))}",
            expected="one norm for both, as each training of the release has it",
            fix="import the two files of one training",
        )
    return norms.pop() if norms else None


def _latent_dim(generator: _Generator, encoder: _Encoder | None, findings: Findings, clues: Clues) -> int:
    """Numbers in a latent; beside an image at the input alone, what goes beyond three channels is taken for it."""
    shown = encoder.latent_dim if encoder and generator.latent_dim is None else generator.latent_dim
    if shown is not None:
        return shown
    beyond = generator.channels_in - _COLOURS if generator.channels_in > _COLOURS else generator.channels_in - 1
    return findings.settle("latent_dim", clues.option("nz", _COUNT), beyond)


def _image_size(generator: _Generator, findings: Findings, clues: Clues) -> int:
    """Side of the images that a generator without its encoder was trained at."""
    smallest = max(2**generator.levels, 2 * ENCODED_SIDE)
    said = [
        said
        for name in _SIZES
        for said in clues.option(name, _COUNT)
        if said.value >= smallest and said.value.bit_count() == 1
    ]
    return findings.settle("image_size", said, smallest)


# --- From tensors to what they show -----------------------------------------------------------------------------------


def _bare(shapes: TensorShapes) -> TensorShapes:
    """Keys without the name of the network's file; the discriminators, which say nothing of use, left out."""
    return {re.sub(r"^[GE]\.", "", key): shape for key, shape in shapes.items() if not re.match(r"D2?\.|model_\d", key)}


def _has_encoder(bare: TensorShapes) -> bool:
    return len({_ENCODER_HEAD, _ENCODER_SECOND_HEAD, _ENCODER_STEM} & bare.keys()) > 1


def _is_without_norms(bare: Iterable[str]) -> bool:
    """Whether a generator with its latent at the input has levels that keep no place for a norm."""
    return f"{_OUTER}2.model.1.weight" in bare


def _axes(bare: TensorShapes, key: str) -> tuple[int, int]:
    """Return the first two lengths of a kernel.

    Out of and into a convolution, the other way round in a transposed one.
    """
    shape = bare.get(key)
    if shape is None or len(shape) != _KERNEL_AXES or 0 in shape:
        raise CheckpointError(
            found=f"{key} is missing" if shape is None else f"{key} is of shape {shape}",
            expected="the kernel of a convolution, four axes",
            fix="the file is incomplete or damaged: download it again",
        )
    return shape[0], shape[1]


def _read_at_all_levels(bare: TensorShapes) -> _Generator:
    channels, channels_in = _axes(bare, _STEM_ALL)
    target_channels, upsampling = _last_layer(bare, "model.up.1.weight", "model.up.3.weight")
    with_norm = {f"model.submodule.{place}.weight" for place in ("down.2", "up.2", "up.4")}
    return _Generator(
        latent_at="all",
        levels=1 + max(key.count("submodule.") for key in bare),
        channels_in=channels_in,
        latent_dim=_axes(bare, "model.submodule.down.1.weight")[1] - channels,
        target_channels=target_channels,
        channels=channels,
        upsampling=upsampling,
        norm=None if with_norm.isdisjoint(bare) else "batch",
    )


def _read_at_input(bare: TensorShapes) -> _Generator:
    channels, channels_in = _axes(bare, _STEM_INPUT)
    depths = [len(match[0]) // len("3.model.") for key in bare if (match := _NESTING.match(key, len(_OUTER)))]
    target_channels, upsampling = _last_layer(bare, "model.model.3.weight", "model.model.5.weight")
    levels = 2 + max(depths, default=0)
    norm: Norm | None = "instance" if depths else None
    if _is_without_norms(bare):
        norm = "none"
    elif not {f"{_OUTER}{place}.weight" for place in (2, 4, 6)}.isdisjoint(bare):
        norm = "batch"
    return _Generator(
        latent_at="input",
        levels=levels,
        channels_in=channels_in,
        latent_dim=None,
        target_channels=target_channels,
        channels=channels,
        upsampling=upsampling,
        norm=norm,
    )


def _last_layer(bare: TensorShapes, transposed: str, bilinear: str) -> tuple[int, Upsampling]:
    """Channels of the image that is made, and how maps are doubled. Transposed kernels keep their outputs second."""
    if transposed in bare:
        return _axes(bare, transposed)[1], "transposed"
    if bilinear in bare:
        return _axes(bare, bilinear)[0], "bilinear"
    raise CheckpointError(
        found=f"a generator with neither {transposed} nor {bilinear}",
        expected="the whole U-Net",
        fix="the file is incomplete: download it again",
    )


def _read_encoder(bare: TensorShapes) -> _Encoder:
    kernels = [key for key in bare if re.fullmatch(r"conv\.\d+\.weight", key) and len(bare[key]) == _KERNEL_AXES]
    blocks = [key for key in bare if re.fullmatch(r"conv\.\d+\.shortcut\.1\.weight", key)]
    missing = next((key for key in (_ENCODER_STEM, _ENCODER_HEAD) if not bare.get(key)), None)
    if missing:
        raise CheckpointError(
            found=f"an encoder in which {missing} is missing",
            expected="the whole encoder",
            fix="the file is incomplete: download it again",
        )
    return _Encoder(
        kind="resnet" if blocks else "cnn",
        halvings=len(blocks) + 1 if blocks else len(kernels),
        latent_dim=bare[_ENCODER_HEAD][0],
        channels=_axes(bare, _ENCODER_STEM)[0],
        norm=_norm_by(bare, "conv.1.conv.0", "conv.1.conv.1", "conv.1.conv.2")
        if blocks
        else _norm_by(bare, "conv.3", "conv.4", "conv.5"),
    )


def _norm_by(bare: TensorShapes, batch: str, without: str, instance: str) -> Norm | None:
    """Return the norm by the module that is there.

    A batch norm, or a convolution in the place that it has with the norm.
    """
    places: dict[str, Norm] = {batch: "batch", without: "none", instance: "instance"}
    for place, norm in places.items():
        if f"{place}.weight" in bare:
            return norm
    return None


RELEASE_FORMAT = AuthorsRelease()
