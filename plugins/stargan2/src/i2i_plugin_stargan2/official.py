"""Checkpoints of clovaai/stargan-v2, the authors' release.

A file holds a dictionary of networks: `NNNNNN_nets_ema.ckpt` the averaged ones (the published weights are of this
kind), `NNNNNN_nets.ckpt` those that were averaged, with the discriminator among them. `wing.ckpt` is the landmark
network by itself; its tensors are expected behind "wing.".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import ValidationError
from torch import Tensor

from i2i_plugin_stargan2.config import ENCODED_SIDE, INNER_SIDE, PRESETS, Config
from i2i_plugin_stargan2.fan import DEPTH, LANDMARKS
from i2i_plugin_stargan2.networks import LAPLACIAN
from i2i_registry import CheckpointError, Clues, Drop, Inferred, KeyMap, OfficialFormat, Shapes
from i2i_runtime import Licence, Record

MOST_LAYERS = 12
"""Layers of the trunks that the key map counts to; images of 1024 pixels have 11."""

_SPARE = " (spare)"
"""Put behind the keys of wing.ckpt where the checkpoint brings the landmark network itself, or needs none."""

_FILTER = "generator.hpf.filter"
_STEM = "generator.from_rgb.weight"
_MAPPING_STEM = "mapping_network.shared.0.weight"
_MAPPING_HEAD = "mapping_network.unshared.0.6.weight"
_STYLE_HEAD = "style_encoder.unshared.0.weight"
_SIGNATURE = {_STEM: 4, _MAPPING_STEM: 2, _MAPPING_HEAD: 2, _STYLE_HEAD: 2}
"""key -> axes"""

_FAN_STEMS = tuple(f"{start}.conv1.conv.weight" for start in ("fan", "wing", "wing.state_dict"))

_RAW = Drop(
    "the discriminator is needed for training only; that it is there says that these are the weights as they were "
    "trained, not their moving average, which is what the authors show (…_nets_ema.ckpt)"
)
_COUNTER = Drop("counts batches of a training that is over")
_NOT_NEEDED = Drop("the checkpoint brings the landmark network itself, or needs none: it passes no details of faces on")
_OTHER = Drop("belongs to no layer of the landmark network")

_PARAMETER = r"(weight|bias)"
_STATISTIC = r"(weight|bias|running_mean|running_var)"

Rules = Iterator[tuple[str, str | Drop]]


def _generator() -> Rules:
    yield rf"generator\.from_rgb\.{_PARAMETER}", r"generator.from_rgb.\1"
    yield rf"generator\.encode\.(\d+)\.(conv[12]|norm[12])\.{_PARAMETER}", r"generator.encoder.\1.\2.\3"
    yield r"generator\.encode\.(\d+)\.conv1x1\.weight", r"generator.encoder.\1.shortcut.weight"
    yield rf"generator\.decode\.(\d+)\.(conv[12])\.{_PARAMETER}", r"generator.decoder.\1.\2.\3"
    yield rf"generator\.decode\.(\d+)\.(norm[12])\.fc\.{_PARAMETER}", r"generator.decoder.\1.\2.affine.\3"
    yield r"generator\.decode\.(\d+)\.conv1x1\.weight", r"generator.decoder.\1.shortcut.weight"
    yield rf"generator\.to_rgb\.0\.{_PARAMETER}", r"generator.to_rgb_norm.\1"
    yield rf"generator\.to_rgb\.2\.{_PARAMETER}", r"generator.to_rgb.\1"
    yield r"generator\.hpf\.filter", r"generator.high_pass.kernel"


def _mapping() -> Rules:
    for layer in range(4):  # an activation lies between two layers
        yield rf"mapping_network\.shared\.{2 * layer}\.{_PARAMETER}", rf"mapping.trunk.{layer}.\1"
        yield rf"mapping_network\.unshared\.(\d+)\.{2 * layer}\.{_PARAMETER}", rf"mapping.heads.\1.{layer}.\2"


def trunk_rules(theirs: str, ours: str) -> Rules:
    """Style encoder and discriminator: the stem, the blocks counted from 1, and one last convolution."""
    yield rf"{theirs}\.0\.{_PARAMETER}", rf"{ours}.stem.\1"
    for block in range(MOST_LAYERS):
        yield rf"{theirs}\.{block + 1}\.(conv[12])\.{_PARAMETER}", rf"{ours}.blocks.{block}.\1.\2"
        yield rf"{theirs}\.{block + 1}\.conv1x1\.weight", rf"{ours}.blocks.{block}.shortcut.weight"
    yield rf"{theirs}\.\d+\.{_PARAMETER}", rf"{ours}.last.\1"


def _style_encoder() -> Rules:
    yield from trunk_rules(r"style_encoder\.shared", "style_encoder.trunk")
    yield rf"style_encoder\.unshared\.(\d+)\.{_PARAMETER}", r"style_encoder.heads.\1.\2"


def _fan() -> Rules:
    start = r"(?:fan|wing)\.(?:state_dict\.)?"
    for theirs, ours in {
        "conv1.conv": "stem.conv",
        "m0.coordconv.conv": "place.conv",
        "conv_last0": "last",
        "l0": "to_heatmaps",
    }.items():
        yield rf"{start}{re.escape(theirs)}\.{_PARAMETER}", rf"fan.{ours}.\1"
    yield rf"{start}bn1\.{_STATISTIC}", r"fan.stem_norm.\1"
    yield rf"{start}bn_end0\.{_STATISTIC}", r"fan.last_norm.\1"
    for theirs, ours in _fan_blocks():
        for layer in range(3):
            yield rf"{start}{theirs}\.conv{layer + 1}\.weight", rf"fan.{ours}.convs.{layer}.weight"
            yield rf"{start}{theirs}\.bn{layer + 1}\.{_STATISTIC}", rf"fan.{ours}.norms.{layer}.\1"
        yield rf"{start}{theirs}\.downsample\.0\.{_STATISTIC}", rf"fan.{ours}.shortcut_norm.\1"
        yield rf"{start}{theirs}\.downsample\.2\.weight", rf"fan.{ours}.shortcut.weight"
    yield rf"{start}.+\.num_batches_tracked", _COUNTER
    yield r"wing\..+", _OTHER


def _fan_blocks() -> Iterator[tuple[str, str]]:
    for number in range(3):
        yield f"conv{number + 2}", f"blocks.{number}"
    for level in range(DEPTH, 0, -1):
        inside = "hourglass" + ".inside" * (DEPTH - level)
        for part, ours in (("b1", "beside"), ("b2", "before"), ("b3", "after")):
            yield rf"m0\.{part}_{level}", f"{inside}.{ours}"
    yield r"m0\.b2_plus_1", "hourglass" + ".inside" * DEPTH
    yield "top_m_0", "top"


class ClovaRelease(OfficialFormat):
    """A dictionary of networks without hyper-parameters."""

    source: ClassVar[str] = "clovaai/stargan-v2"
    licence: ClassVar[Licence] = Licence(
        spdx="CC-BY-NC-4.0",
        notes="The terms of the authors' code and weights: attribution, and no commercial use. Whoever trained a "
        "checkpoint themselves, with other code and images, has their own.",
        non_commercial=True,
    )
    keys: ClassVar[KeyMap] = (
        *_generator(),
        *_mapping(),
        *_style_encoder(),
        (r"wing\..+" + re.escape(_SPARE), _NOT_NEEDED),
        *_fan(),
        (r"discriminator\.main\..+", _RAW),
    )

    def detect(self, shapes: Shapes) -> bool:
        """Generator, mapping network and style encoder under the release's names."""
        return all(len(shapes.get(key, ())) == axes for key, axes in _SIGNATURE.items())

    def infer_config(self, shapes: Shapes) -> Config:
        """Sizes from shapes and from the number of layers.

        The divisor of the high-pass filter is in no shape: it is taken to be 1 as in the published weights, and the
        filter that the file brings counts. What the domains are called is not in the file either.
        """
        halvings = _count(shapes, r"style_encoder\.shared\.(\d+)\.conv1\.weight")
        image_size = ENCODED_SIDE * 2**halvings
        least = (image_size // INNER_SIDE).bit_length() - 1
        further = _count(shapes, r"generator\.encode\.(\d+)\.conv1\.weight") - 2 - least
        if further not in (0, 1):
            raise CheckpointError(
                found=f"a style encoder for {image_size} pixels and a generator of {least + further} halvings",
                expected=f"{least} halvings, or {least + 1} in a model that passes details on",
                fix="the file is of another release, or is incomplete: download it again",
            )
        channels, features = shapes[_STEM][0], shapes[_STYLE_HEAD][1]
        usual = PRESETS["afhq"].max_channels
        fan = next((shapes[key] for key in _FAN_STEMS if key in shapes), None)
        return _checked(
            image_size=image_size,
            domains=tuple(f"domain_{n}" for n in range(_count(shapes, r"style_encoder\.unshared\.(\d+)\.weight"))),
            channel_base=channels * image_size,
            max_channels=features if features < channels * 2**halvings else max(features, usual),
            latent_dim=shapes[_MAPPING_STEM][1],
            style_dim=shapes[_STYLE_HEAD][0],
            mapping_channels=shapes[_MAPPING_STEM][0],
            high_pass=float(further),
            **({"fan_channels": fan[0]} if fan else {}),
        )

    def infer(self, shapes: Shapes, clues: Clues) -> Inferred:
        """By shapes alone. Raises CheckpointError too when a model of faces comes without its landmark network."""
        inferred = super().infer(shapes, clues)
        needed = isinstance(inferred.config, Config) and inferred.config.has_masks
        if needed and not any(key.startswith(("fan.", "wing.")) for key in shapes):
            raise CheckpointError(
                found="a model that passes details of faces on, whose landmark network is missing",
                expected="wing.ckpt, which the release's download puts beside the folders of checkpoints",
                fix="i2i-registry import stargan2 100000_nets_ema.ckpt wing.ckpt --as NAME",
            )
        return inferred

    def unseen(self, config: Record) -> tuple[str, ...]:
        """The divisor of the high-pass filter, where there is one."""
        return ("high_pass",) if isinstance(config, Config) and config.has_masks else ()

    def example(self, config: Record) -> Shapes:
        """What the release saves while it trains: the networks, and the discriminator."""
        if not isinstance(config, Config):
            raise TypeError(f"expected a Config of StarGAN v2, not {type(config).__name__}")
        networks = {
            "generator": _generator_shapes(config),
            "mapping_network": _mapping_shapes(config),
            "style_encoder": _trunk_shapes("shared", config) | _style_heads(config),
            "discriminator": _trunk_shapes("main", config) | _logits(config),
        }
        if config.has_masks:
            networks["fan"] = _fan_shapes(config.fan_channels)
        return {f"{name}.{key}": shape for name, shapes in networks.items() for key, shape in shapes.items()}

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add the filter that files from before April 2021 lack; mark a landmark network that is not needed.

        The release keeps one wing.ckpt beside the folders of all its trainings, whether they need it or not.
        """
        has_masks = self.infer_config({key: tuple(tensor.shape) for key, tensor in tensors.items()}).has_masks
        spare = not has_masks or any(key.startswith("fan.") for key in tensors)
        repaired = {f"{key}{_SPARE}" if spare and key.startswith("wing.") else key: t for key, t in tensors.items()}
        if has_masks:
            repaired.setdefault(_FILTER, torch.tensor(LAPLACIAN))
        return repaired


CLOVA_FORMAT = ClovaRelease()


def _count(shapes: Shapes, pattern: str) -> int:
    """How many keys match."""
    return sum(re.fullmatch(pattern, key) is not None for key in shapes)


def _checked(**fields: object) -> Config:
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise CheckpointError(
            found=f"shapes that no StarGAN v2 has: {'.'.join(map(str, problem['loc']))} {problem['msg']}",
            expected="a generator, a mapping network and a style encoder of one training",
            fix="the file is incomplete: download it again",
        ) from error


# --- What the release would save --------------------------------------------------------------------------------------


def _generator_shapes(config: Config) -> Shapes:
    widths = config.generator_widths
    deep = [(widths[-1], widths[-1])] * 2
    down = [*pairwise(widths), *deep]
    up = [*deep, *((wider, width) for width, wider in reversed(down[:-2]))]
    shapes = _layer("from_rgb", (widths[0], 3, 3, 3))
    for number, (c, k) in enumerate(down):
        shapes |= _block(f"encode.{number}", c, k, c)
        shapes |= {f"encode.{number}.norm{n}.{part}": (c,) for n in (1, 2) for part in ("weight", "bias")}
    for number, (c, k) in enumerate(up):
        shapes |= _block(f"decode.{number}", c, k, k)
        for norm, width in ((1, c), (2, k)):
            shapes |= _layer(f"decode.{number}.norm{norm}.fc", (2 * width, config.style_dim))
    shapes |= _layer("to_rgb.2", (3, widths[0], 1, 1)) | {f"to_rgb.0.{p}": widths[:1] for p in ("weight", "bias")}
    return shapes | ({"hpf.filter": (3, 3)} if config.has_masks else {})


def _mapping_shapes(config: Config) -> Shapes:
    width, shapes = config.mapping_channels, dict[str, tuple[int, ...]]()
    for layer, dim in enumerate((config.latent_dim, width, width, width)):
        shapes |= _layer(f"shared.{2 * layer}", (width, dim))
    for head in range(len(config.domains)):
        for layer, dim in enumerate((width, width, width, config.style_dim)):
            shapes |= _layer(f"unshared.{head}.{2 * layer}", (dim, width))
    return shapes


def _trunk_shapes(name: str, config: Config) -> dict[str, tuple[int, ...]]:
    widths = config.trunk_widths
    shapes = _layer(f"{name}.0", (widths[0], 3, 3, 3))
    for number, (c, k) in enumerate(pairwise(widths), start=1):
        shapes |= _block(f"{name}.{number}", c, k, c)
    return shapes | _layer(f"{name}.{len(widths) + 1}", (widths[-1], widths[-1], ENCODED_SIDE, ENCODED_SIDE))


def _style_heads(config: Config) -> dict[str, tuple[int, ...]]:
    heads = (_layer(f"unshared.{n}", (config.style_dim, config.trunk_widths[-1])) for n in _domains(config))
    return {key: shape for head in heads for key, shape in head.items()}


def _logits(config: Config) -> dict[str, tuple[int, ...]]:
    widths = config.trunk_widths
    return _layer(f"main.{len(widths) + 3}", (len(config.domains), widths[-1], 1, 1))


def _domains(config: Config) -> range:
    return range(len(config.domains))


def _fan_shapes(channels: int) -> Shapes:
    wide, deep = 2 * channels, 4 * channels
    shapes = _layer("conv1.conv", (channels, 6, 7, 7)) | _layer("m0.coordconv.conv", (deep, deep + 3, 1, 1))
    shapes |= _layer("conv_last0", (deep, deep, 1, 1)) | _layer("l0", (LANDMARKS + 1, deep, 1, 1))
    shapes |= _batch_norm("bn1", channels) | _batch_norm("bn_end0", deep)
    sizes = {"conv2": (channels, wide), "conv3": (wide, wide), "conv4": (wide, deep)}
    for theirs, _ in _fan_blocks():
        name = theirs.replace("\\", "")
        shapes |= _fan_block(name, *sizes.get(name, (deep, deep)))
    return shapes


def _fan_block(name: str, c: int, k: int) -> dict[str, tuple[int, ...]]:
    half, quarter = k // 2, k // 4
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (width, made) in enumerate(((c, half), (half, quarter), (quarter, quarter)), start=1):
        shapes |= {f"{name}.conv{number}.weight": (made, width, 3, 3)} | _batch_norm(f"{name}.bn{number}", width)
    if c != k:
        shapes |= {f"{name}.downsample.2.weight": (k, c, 1, 1)} | _batch_norm(f"{name}.downsample.0", c)
    return shapes


def _block(name: str, c: int, k: int, middle: int) -> dict[str, tuple[int, ...]]:
    """Two convolutions, c -> middle -> k, and that of the shortcut where the channels change."""
    shapes = _layer(f"{name}.conv1", (middle, c, 3, 3)) | _layer(f"{name}.conv2", (k, middle, 3, 3))
    return shapes | ({f"{name}.conv1x1.weight": (k, c, 1, 1)} if c != k else {})


def _layer(key: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{key}.weight": kernel, f"{key}.bias": kernel[:1]}


def _batch_norm(key: str, channels: int) -> dict[str, tuple[int, ...]]:
    vectors = {f"{key}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{key}.num_batches_tracked": ()}
