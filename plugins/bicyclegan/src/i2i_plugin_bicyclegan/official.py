"""Checkpoints of junyanz/BicycleGAN, the authors' release.

Each network is a file of its own, a plain state dict (`latest_net_G.pth`, `latest_net_E.pth`), and no file says which
network it is or how it was made. Keys are taken bare, as in a single file, or behind the name of the file's network
("G.", "E.", "D.", "D2."), as when the files are read together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from i2i_plugin_bicyclegan.config import ENCODED_SIDE, MOST_LEVELS, Config, Norm
from i2i_registry.errors import CheckpointError
from i2i_registry.model import Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence
from i2i_runtime.operations import Record

UNUSED = " (InstanceNorm)"
"""Put behind the keys of statistics that instance norms of old releases wrote, to tell them from a batch norm's."""

_STEM_ALL = "model.down.0.weight"
_STEM_INPUT = "model.model.0.weight"
_ENCODER_STEM = "conv.0.weight"
_ENCODER_HEAD = "fc.0.weight"
_ENCODER_SECOND_HEAD = "fcVar.0.weight"
_DISCRIMINATOR = Drop("discriminators are needed for training only")
_OLD_STATISTICS = Drop("torch before 0.4 wrote running statistics of instance norms, which never use them")
_STATISTIC = re.compile(r"(.+)\.(running_mean|running_var|num_batches_tracked)")

_PARAMETER = r"(weight|bias)"
_NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

Rules = Iterator[tuple[str, str]]


def _generator_with_latent_at_all_levels() -> Rules:
    """Every level is three containers: the way down, what lies inside, the way up."""
    for level in range(MOST_LEVELS):
        inside = r"(?:G\.)?model\." + r"submodule\." * level
        down = 1 if level else 0  # an activation comes first, but not at the outermost level
        yield rf"{inside}down\.{down}\.{_PARAMETER}", rf"generator.down.{level}.conv.\1"
        yield rf"{inside}down\.2\.{_NORM}", rf"generator.down.{level}.norm.\1"
        yield rf"{inside}up\.[13]\.{_PARAMETER}", rf"generator.up.{level}.conv.\1"
        yield rf"{inside}up\.[24]\.{_NORM}", rf"generator.up.{level}.norm.\1"


def _generator_with_latent_at_input() -> Rules:
    """Every level is one sequence: activation, down, norm, what lies inside, activation, up, norm.

    The innermost level has nothing inside and no norm on the way down, and bilinear interpolation is two modules more
    before the convolution: so the way up has its convolution at 3, 5 or 7 and its norm behind it.
    """
    yield rf"(?:G\.)?model\.model\.0\.{_PARAMETER}", r"generator.down.0.conv.\1"
    yield rf"(?:G\.)?model\.model\.[35]\.{_PARAMETER}", r"generator.up.0.conv.\1"
    for level in range(1, MOST_LEVELS):
        inside = r"(?:G\.)?model\.model\.1\.model\." + r"3\.model\." * (level - 1)
        yield rf"{inside}1\.{_PARAMETER}", rf"generator.down.{level}.conv.\1"
        yield rf"{inside}2\.{_NORM}", rf"generator.down.{level}.norm.\1"
        yield rf"{inside}[357]\.{_PARAMETER}", rf"generator.up.{level}.conv.\1"
        yield rf"{inside}[468]\.{_NORM}", rf"generator.up.{level}.norm.\1"


def _encoder() -> Rules:
    """Both kinds share the first convolution and the heads; their blocks cannot be mistaken for one another."""
    prefix = r"(?:E\.)?"
    yield rf"{prefix}conv\.0\.{_PARAMETER}", r"encoder.stem.\1"
    yield rf"{prefix}fc\.0\.{_PARAMETER}", r"encoder.mean.\1"
    yield rf"{prefix}fcVar\.0\.{_PARAMETER}", r"encoder.log_variance.\1"
    for block in range(MOST_LEVELS):
        theirs, ours = rf"{prefix}conv\.{block + 1}", rf"encoder.blocks.{block}"
        yield rf"{theirs}\.conv\.0\.{_NORM}", rf"{ours}.norm1.\1"
        yield rf"{theirs}\.conv\.[12]\.{_PARAMETER}", rf"{ours}.conv1.\1"
        yield rf"{theirs}\.conv\.3\.{_NORM}", rf"{ours}.norm2.\1"
        yield rf"{theirs}\.conv\.[35]\.0\.{_PARAMETER}", rf"{ours}.conv2.\1"
        yield rf"{theirs}\.shortcut\.1\.{_PARAMETER}", rf"{ours}.shortcut.\1"
        first = 3 * block + 2  # convolution, norm and activation, behind the first convolution and its activation
        yield rf"{prefix}conv\.{first}\.{_PARAMETER}", rf"{ours}.conv.\1"
        yield rf"{prefix}conv\.{first + 1}\.{_NORM}", rf"{ours}.norm.\1"


class AuthorsRelease(OfficialFormat):
    """State dicts of a generator and of its encoder, without hyper-parameters."""

    source: ClassVar[str] = "junyanz/BicycleGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The terms of the release's code; its weights carry none of their own, and the pictures that they were "
        "trained on have theirs.",
    )
    keys: ClassVar[KeyMap] = (
        (r".+" + re.escape(UNUSED), _OLD_STATISTICS),
        *_generator_with_latent_at_all_levels(),
        *_generator_with_latent_at_input(),
        *_encoder(),
        (r"(?:D2?\.)?model_\d+\..+", _DISCRIMINATOR),
        (r"D2?\.model\..+", _DISCRIMINATOR),
    )

    def detect(self, shapes: Shapes) -> bool:
        """The containers of the generator, or the two heads of the encoder.

        The U-Net of pix2pix has the keys of the generator that takes its latent at the input; that one takes more
        channels than a picture has.
        """
        bare = _bare(shapes)
        if _STEM_ALL in bare or _has_encoder(bare):
            return True
        stem = bare.get(_STEM_INPUT, ())
        return "model.model.1.model.1.bias" in bare and stem[2:] == (4, 4) and stem[1] > _COLOURS

    def infer_config(self, shapes: Shapes) -> Config:
        """Sizes from shapes, the kinds of networks from the presence of keys.

        Two things leave no trace: the activation on the way up (taken for ReLU, the release's default), and whether a
        generator alone has instance norms or none (taken for instance norms).
        """
        bare = _bare(shapes)
        if _STEM_ALL not in bare and _STEM_INPUT not in bare:
            raise CheckpointError(
                found="an encoder of BicycleGAN without its generator",
                expected="the generator (latest_net_G.pth), and with it the encoder (latest_net_E.pth)",
                fix="i2i-registry import bicyclegan latest_net_G.pth latest_net_E.pth --as ...",
            )
        encoder = _read_encoder(bare) if _has_encoder(bare) else None
        sizes = _read_at_all_levels(bare) if _STEM_ALL in bare else _read_at_input(bare, encoder)
        fields = asdict(sizes)
        if encoder is None:
            return _checked(fields | {"encoder": None, "image_size": max(2**sizes.levels, 2 * ENCODED_SIDE)})
        fields |= {
            "image_size": ENCODED_SIDE * 2**encoder.halvings,
            "encoder": encoder.kind,
            "encoder_channels": encoder.channels,
        }
        return _checked(fields if encoder.is_normed else fields | {"norm": "none"})

    def example(self, config: Record) -> Shapes:
        """What the release saves: a generator, an encoder where there is one, and two discriminators of two scales."""
        if not isinstance(config, Config):
            raise TypeError(f"expected a Config of BicycleGAN, not {type(config).__name__}")
        in_file = {"G": _generator_shapes(config), "D": _discriminator_shapes(config)}
        in_file["D2"] = in_file["D"]
        if config.encoder:
            in_file["E"] = _encoder_shapes(config)
        return {f"{name}.{key}": shape for name, shapes in in_file.items() for key, shape in shapes.items()}

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark the statistics of instance norms; add the counters that batch norms had not before torch 0.4.1."""
        repaired: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            match = _STATISTIC.fullmatch(key)
            is_unused = match is not None and f"{match[1]}.weight" not in tensors
            repaired[f"{key}{UNUSED}" if is_unused else key] = tensor
            if match and not is_unused:
                repaired.setdefault(f"{match[1]}.num_batches_tracked", torch.tensor(0))
        return repaired


RELEASE_FORMAT = AuthorsRelease()

_COLOURS = 3

Upsampling = Literal["transposed", "bilinear"]


@dataclass(frozen=True, slots=True)
class _GeneratorSizes:
    """What a generator's tensors tell; the names are those of Config."""

    latent_at: Literal["all", "input"]
    levels: int
    latent_length: int
    source_channels: int
    target_channels: int
    channels: int
    upsampling: Upsampling
    norm: Norm


@dataclass(frozen=True, slots=True)
class _EncoderSizes:
    """What an encoder's tensors tell."""

    kind: Literal["resnet", "cnn"]
    halvings: int
    latent_length: int
    channels: int
    is_normed: bool


def _bare(shapes: Shapes) -> Shapes:
    """Keys without the name of the network's file; the discriminators, which say nothing of use, left out."""
    return {re.sub(r"^[GE]\.", "", key): shape for key, shape in shapes.items() if not re.match(r"D2?\.|model_\d", key)}


def _has_encoder(bare: Shapes) -> bool:
    return len({_ENCODER_HEAD, _ENCODER_SECOND_HEAD, _ENCODER_STEM} & bare.keys()) > 1


def _read_at_all_levels(bare: Shapes) -> _GeneratorSizes:
    channels, channels_in = bare[_STEM_ALL][:2]
    latent_length = bare["model.submodule.down.1.weight"][1] - channels
    target_channels, upsampling = _last_layer(bare, "model.up.1.weight", "model.up.3.weight")
    return _GeneratorSizes(
        latent_at="all",
        levels=1 + max(key.count("submodule.") for key in bare),
        latent_length=latent_length,
        source_channels=channels_in - latent_length,
        target_channels=target_channels,
        channels=channels,
        upsampling=upsampling,
        norm="batch" if "model.submodule.down.2.weight" in bare else "instance",
    )


def _read_at_input(bare: Shapes, encoder: _EncoderSizes | None) -> _GeneratorSizes:
    """Without an encoder, what goes beyond three channels at the input is taken for the latent."""
    if "model.model.1.model.2.model.1.weight" in bare:
        raise CheckpointError(
            found="a generator with its latent at the input and no norms",
            expected="instance or batch norm, as in all published weights",
            fix="train it again with norms",
        )
    channels, channels_in = bare[_STEM_INPUT][:2]
    depths = [len(match[0]) // len("3.model.") for key in bare if (match := _NESTING.match(key, len(_OUTER)))]
    latent_length = encoder.latent_length if encoder else channels_in - _COLOURS
    target_channels, upsampling = _last_layer(bare, "model.model.3.weight", "model.model.5.weight")
    return _GeneratorSizes(
        latent_at="input",
        levels=2 + max(depths, default=0),
        latent_length=latent_length,
        source_channels=channels_in - latent_length,
        target_channels=target_channels,
        channels=channels,
        upsampling=upsampling,
        norm="batch" if "model.model.1.model.2.weight" in bare else "instance",
    )


_OUTER = "model.model.1.model."
_NESTING = re.compile(r"(?:3\.model\.)+")


def _last_layer(bare: Shapes, transposed: str, bilinear: str) -> tuple[int, Upsampling]:
    """Channels of the picture that is made, and how maps are doubled. Transposed kernels keep their outputs second."""
    if transposed in bare:
        return bare[transposed][1], "transposed"
    if bilinear in bare:
        return bare[bilinear][0], "bilinear"
    raise CheckpointError(
        found=f"a generator with neither {transposed} nor {bilinear}",
        expected="the whole U-Net",
        fix="the file is incomplete: download it again",
    )


def _read_encoder(bare: Shapes) -> _EncoderSizes:
    kernels = [key for key in bare if re.fullmatch(r"conv\.\d+\.weight", key) and len(bare[key]) == _KERNEL_AXES]
    blocks = [key for key in bare if re.fullmatch(r"conv\.\d+\.shortcut\.1\.weight", key)]
    is_normed = "conv.1.conv.1.weight" not in bare if blocks else "conv.4.weight" not in bare
    if not blocks and not is_normed:
        raise CheckpointError(
            found="a plain encoder without norms",
            expected="instance or batch norm, as in all published weights",
            fix="train it again with norms",
        )
    missing = next((key for key in (_ENCODER_STEM, _ENCODER_HEAD) if key not in bare), None)
    if missing:
        raise CheckpointError(
            found=f"an encoder in which {missing} is missing",
            expected="the whole encoder",
            fix="the file is incomplete: download it again",
        )
    return _EncoderSizes(
        kind="resnet" if blocks else "cnn",
        halvings=len(blocks) + 1 if blocks else len(kernels),
        latent_length=bare[_ENCODER_HEAD][0],
        channels=bare[_ENCODER_STEM][0],
        is_normed=is_normed,
    )


_KERNEL_AXES = 4


def _checked(fields: Mapping[str, object]) -> Config:
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise CheckpointError(
            found=f"shapes that no BicycleGAN has: {'.'.join(map(str, problem['loc']))} {problem['msg']}",
            expected="a generator, and an encoder of the same picture size",
            fix="import the two files of one training",
        ) from error


# --- What the release would save --------------------------------------------------------------------------------------


def _generator_shapes(config: Config) -> Shapes:
    """State dict of the release's U-Net at this Config, with norms."""
    at_all, last = config.latent_at == "all", config.levels - 1
    sources = (config.source_channels + (0 if at_all else config.latent_length), *config.widths[:-1])
    results = (config.target_channels, *config.widths[:-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for level, width in enumerate(config.widths):
        down, down_norm, up, up_norm = _generator_keys(config, level)
        joined = width if level == last else 2 * width
        shapes |= _layer(down, (width, sources[level] + (config.latent_length if at_all else 0), 4, 4))
        if config.upsampling == "transposed":
            shapes |= {f"{up}.weight": (joined, results[level], 4, 4), f"{up}.bias": (results[level],)}
        else:
            shapes |= _layer(up, (results[level], joined, 3, 3))
        if config.norm == "batch":
            shapes |= _batch_norm(down_norm, width) if 0 < level < last else {}
            shapes |= _batch_norm(up_norm, results[level]) if level else {}
    return shapes


def _generator_keys(config: Config, level: int) -> tuple[str, str, str, str]:
    """The release's names of a level's convolution and norm on the way down, and of those on the way up."""
    shift = 0 if config.upsampling == "transposed" else 2
    if config.latent_at == "all":
        inside = "model." + "submodule." * level
        return f"{inside}down.{min(level, 1)}", f"{inside}down.2", f"{inside}up.{1 + shift}", f"{inside}up.{2 + shift}"
    if level == 0:
        return "model.model.0", "", f"model.model.{3 + shift}", ""
    inside = _OUTER + "3.model." * (level - 1)
    up = (3 if level == config.levels - 1 else 5) + shift
    return f"{inside}1", f"{inside}2", f"{inside}{up}", f"{inside}{up + 1}"


def _encoder_shapes(config: Config) -> Shapes:
    """State dict of the release's encoder at this Config, with norms."""
    e, residual = config.encoder_channels, config.encoder == "resnet"
    factors = [min(i + 1 if residual else 2**i, 4) for i in range(config.encoder_halvings)]
    widths = [e * factor for factor in factors]
    shapes = _layer("conv.0", (e, config.target_channels, 4, 4))
    for number, (width, wider) in enumerate(pairwise(widths)):
        if residual:
            block = f"conv.{number + 1}"
            shapes |= _layer(f"{block}.conv.2", (width, width, 3, 3)) | _layer(
                f"{block}.conv.5.0", (wider, width, 3, 3)
            )
            shapes |= _layer(f"{block}.shortcut.1", (wider, width, 1, 1))
            norms = {f"{block}.conv.0": width, f"{block}.conv.3": width}
        else:
            shapes |= _layer(f"conv.{3 * number + 2}", (wider, width, 4, 4))
            norms = {f"conv.{3 * number + 3}": wider}
        if config.norm == "batch":
            for key, channels in norms.items():
                shapes |= _batch_norm(key, channels)
    heads = ("fc.0", "fcVar.0")
    return shapes | {k: s for head in heads for k, s in _layer(head, (config.latent_length, widths[-1])).items()}


def _discriminator_shapes(config: Config) -> Shapes:
    """State dict of a release's discriminator of two scales and three halvings, as wide as the generator."""
    shapes: dict[str, tuple[int, ...]] = {}
    for scale in range(2):
        d = max(config.channels // 2**scale, 1)
        widths = (config.target_channels, d, 2 * d, 4 * d, 8 * d, 1)
        for position, (width, wider) in zip((0, 2, 5, 8, 11), pairwise(widths), strict=True):
            shapes |= _layer(f"model_{scale}.{position}", (wider, width, 4, 4))
    return shapes


def _layer(key: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{key}.weight": kernel, f"{key}.bias": kernel[:1]}


def _batch_norm(key: str, channels: int) -> dict[str, tuple[int, ...]]:
    vectors = {f"{key}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{key}.num_batches_tracked": ()}
