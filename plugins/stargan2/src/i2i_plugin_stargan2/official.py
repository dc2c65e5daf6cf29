"""Checkpoints of clovaai/stargan-v2, the authors' release.

A file holds a dictionary of networks: `NNNNNN_nets_ema.ckpt` the averaged ones (the published weights are of this
kind), `NNNNNN_nets.ckpt` those that were averaged, with the discriminator among them. `wing.ckpt` is the landmark
network by itself; its tensors are expected behind "wing.".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from i2i_plugin_stargan2.config import ENCODED_SIDE, INNER_SIDE, PRESETS, Config
from i2i_plugin_stargan2.networks import LAPLACIAN
from i2i_plugin_stargan2.networks.fan import DEPTH
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

_FILTER = "generator.hpf.filter"
_STEM = "generator.from_rgb.weight"
_MAPPING_STEM = "mapping_network.shared.0.weight"
_MAPPING_HEAD = "mapping_network.unshared.0.6.weight"
_STYLE_HEAD = "style_encoder.unshared.0.weight"
_SIGNATURE = {_STEM: 4, _MAPPING_STEM: 2, _MAPPING_HEAD: 2, _STYLE_HEAD: 2}
"""key -> axes"""

_FAN_STEM = "fan.conv1.conv.weight"
_WING = re.compile(r"wing\.(?:state_dict\.)?(.+)")

_RAW = (
    "the discriminator is needed for training only; that it is there says that these are the weights as they were "
    "trained, not their moving average, which is what the authors show (…_nets_ema.ckpt)"
)
_NOT_NEEDED = Drop("the checkpoint brings the landmark network itself, or needs none: it passes no details of faces on")
_OTHER = "belongs to no layer of the landmark network"


def _generator(downsamplings: int) -> NameTable:
    rows = {
        "generator.from_rgb": "generator.from_rgb",
        "generator.encode": "generator.encoder",
        "generator.decode": "generator.decoder",
        "generator.to_rgb.0": "generator.to_rgb_norm",
        "generator.to_rgb.2": "generator.to_rgb",
        "generator.hpf.filter": "generator.high_pass.kernel",
    }
    for block in range(downsamplings + 2):  # the last two keep the size
        rows[f"generator.encode.{block}.conv1x1"] = f"generator.encoder.{block}.shortcut"
        rows[f"generator.decode.{block}.conv1x1"] = f"generator.decoder.{block}.shortcut"
        rows |= {f"generator.decode.{block}.norm{n}.fc": f"generator.decoder.{block}.norm{n}.affine" for n in (1, 2)}
    return rows


def _mapping(domains: int) -> NameTable:
    """Put an activation between two layers."""
    rows = {f"mapping_network.shared.{2 * layer}": f"mapping.trunk.{layer}" for layer in range(4)}
    for domain in range(domains):
        theirs, ours = f"mapping_network.unshared.{domain}", f"mapping.heads.{domain}"
        rows |= {f"{theirs}.{2 * layer}": f"{ours}.{layer}" for layer in range(4)}
    return rows


def trunk_table(theirs: str, ours: str, blocks: int) -> NameTable:
    """Style encoder and discriminator: the stem, the blocks counted from 1, and one last convolution."""
    rows = {f"{theirs}.0": f"{ours}.stem", f"{theirs}.{blocks + 2}": f"{ours}.last"}
    for block in range(blocks):
        rows[f"{theirs}.{block + 1}"] = f"{ours}.blocks.{block}"
        rows[f"{theirs}.{block + 1}.conv1x1"] = f"{ours}.blocks.{block}.shortcut"
    return rows


def _fan() -> NameTable:
    rows = {
        "fan.conv1.conv": "fan.stem.conv",
        "fan.bn1": "fan.stem_norm",
        "fan.m0.coordconv.conv": "fan.place.conv",
        "fan.conv_last0": "fan.last",
        "fan.bn_end0": "fan.last_norm",
        "fan.l0": "fan.to_heatmaps",
    }
    for theirs, ours in _fan_blocks():
        for layer in range(3):
            rows[f"fan.{theirs}.conv{layer + 1}"] = f"fan.{ours}.convs.{layer}"
            rows[f"fan.{theirs}.bn{layer + 1}"] = f"fan.{ours}.norms.{layer}"
        rows[f"fan.{theirs}.downsample.0"] = f"fan.{ours}.shortcut_norm"
        rows[f"fan.{theirs}.downsample.2"] = f"fan.{ours}.shortcut"
    return rows


def _fan_blocks() -> Iterator[tuple[str, str]]:
    for number in range(3):
        yield f"conv{number + 2}", f"blocks.{number}"
    for level in range(DEPTH, 0, -1):
        inside = "hourglass" + ".inside" * (DEPTH - level)
        for part, ours in (("b1", "beside"), ("b2", "before"), ("b3", "after")):
            yield f"m0.{part}_{level}", f"{inside}.{ours}"
    yield "m0.b2_plus_1", "hourglass" + ".inside" * DEPTH
    yield "top_m_0", "top"


class ClovaRelease(OfficialFormat[Config]):
    """A dictionary of networks without hyper-parameters."""

    source: ClassVar[str] = "clovaai/stargan-v2"
    licence: ClassVar[Licence] = Licence(
        spdx="CC-BY-NC-4.0",
        notes="The terms of the authors' code and weights: attribution, and no commercial use. Whoever trained a "
        "checkpoint themselves, with other code and images, has their own.",
        non_commercial=True,
    )
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (r"discriminator\.main\..+", _RAW),
        (r"fan\..+\.num_batches_tracked", "counts batches of a training that is over"),
        (r"fan\..+", _OTHER),
    )

    def detect(self, shapes: TensorShapes) -> bool:
        """Recognise it by generator, mapping network and style encoder under the release's names."""
        return all(len(shapes.get(key, ())) == axes for key, axes in _SIGNATURE.items())

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Take the landmark network of wing.ckpt for the checkpoint's, if that needs one and has none.

        The release keeps one wing.ckpt beside the folders of all its trainings, whether they need it or not.
        """
        spare = not _further_downsamplings(names) or any(name.startswith("fan.") for name in names)
        wing = ((name, match[1]) for name in names if (match := _WING.fullmatch(name)))
        return {name: _NOT_NEEDED if spare else f"fan.{inner}" for name, inner in wing}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Read sizes off shapes and off the number of layers.

        The divisor of the high-pass filter is in no shape: it is taken to be 1 as in the published weights, and the
        filter that the file brings counts. What the domains are called is not in the file either.

        Raises CheckpointError too when a model of faces comes without its landmark network.
        """
        downsamplings, further, findings = _downsamplings(shapes), _further_downsamplings(shapes), Findings(clues)
        image_size = ENCODED_SIDE * 2**downsamplings
        if further not in (0, 1):
            least = (image_size // INNER_SIDE).bit_length() - 1
            raise CheckpointError(
                found=f"a style encoder for {image_size} pixels and a generator of {least + further} downsamplings",
                expected=f"{least} downsamplings, or {least + 1} in a model that passes details on",
                fix="the file is of another release, or is incomplete: download it again",
            )
        channels, features = shapes[_STEM][0], shapes[_STYLE_HEAD][1]
        usual = PRESETS["afhq"].max_channels
        fields: dict[str, object] = {
            "image_size": image_size,
            "domains": [f"domain_{n}" for n in range(_count(shapes, r"style_encoder\.unshared\.(\d+)\.weight"))],
            "channel_base": channels * image_size,
            "max_channels": features if features < channels * 2**downsamplings else max(features, usual),
            "latent_dim": shapes[_MAPPING_STEM][1],
            "style_dim": shapes[_STYLE_HEAD][0],
            "mapping_channels": shapes[_MAPPING_STEM][0],
            "high_pass": findings.settle("high_pass", (), 1.0) if further else 0.0,
        }
        fields |= {"fan_channels": shapes[_FAN_STEM][0]} if _FAN_STEM in shapes else {}
        config = checked_config(
            Config,
            fields,
            found="shapes that no StarGAN v2 has",
            expected="a generator, a mapping network and a style encoder of one training",
            fix="the file is incomplete: download it again",
        )
        return findings.inferred(_with_landmarks(config, shapes))

    def repair(self, tensors: dict[str, Tensor], missing: TensorShapes) -> dict[str, Tensor]:
        """Add the filter that files from before April 2021 lack."""
        return tensors | ({_FILTER: torch.tensor(LAPLACIAN)} if _FILTER in missing else {})

    def table(self, config: Config) -> NameTable:
        """Return the rows of all four networks."""
        return {
            **_generator(len(config.generator_widths) - 1),
            **_mapping(len(config.domains)),
            **trunk_table("style_encoder.shared", "style_encoder.trunk", len(config.trunk_widths) - 1),
            "style_encoder.unshared": "style_encoder.heads",
            **_fan(),
        }

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return the file of the averages, named as that of a training that ended."""
        del config
        return (OfficialFile("100000_nets_ema.ckpt", form="networks"),)


CLOVA_FORMAT = ClovaRelease()


def _count(names: Iterable[str], pattern: str) -> int:
    """How many names match."""
    return sum(re.fullmatch(pattern, name) is not None for name in names)


def _downsamplings(names: Iterable[str]) -> int:
    """Of the style encoder."""
    return _count(names, r"style_encoder\.shared\.(\d+)\.conv1\.weight")


def _further_downsamplings(names: Collection[str]) -> int:
    """Return what the generator has more than its image size needs: one in a model that passes details on."""
    least = (ENCODED_SIDE * 2 ** _downsamplings(names) // INNER_SIDE).bit_length() - 1
    return _count(names, r"generator\.encode\.(\d+)\.conv1\.weight") - 2 - least


def _with_landmarks(config: Config, names: Iterable[str]) -> Config:
    """Return the Config, unless it needs a landmark network that is not there."""
    if config.has_masks and not any(name.startswith("fan.") for name in names):
        raise CheckpointError(
            found="a model that passes details of faces on, whose landmark network is missing",
            expected="wing.ckpt, which the release's download puts beside the folders of checkpoints",
            fix="i2i-registry import stargan2 100000_nets_ema.ckpt wing.ckpt --as NAME",
        )
    return config
