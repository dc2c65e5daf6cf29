"""Folders that the authors' scripts write: TrainedModels/<image>/<settings>/.

Gs.pth holds whole generators and Zs.pth, reals.pth and NoiseAmp.pth lists of tensors; beside them is a folder for each
scale with netG.pth, a state dict of the same generator. Together the files are one checkpoint, in which a tensor's name
begins with its file's ("Gs.0.head.conv.weight", "0.netG.head.conv.weight", "NoiseAmp.1").

A training that was stopped leaves images of all scales and generators of those that it had finished: the other scales
become ones that were never trained, which only enlarge. A training of grey images has one channel: its generators get
three that are equal, which changes nothing of what they make.

What it was trained for, no tensor shows; the folder's name does ("scale_factor=0.750000_noise_padding").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor

from i2i_plugin_singan.config import COARSEST, COLOURS, Config, Mode, Size
from i2i_plugin_singan.networks import UNTRAINED
from i2i_registry import (
    CheckpointError,
    Clues,
    Drop,
    Evidence,
    Findings,
    InferredConfig,
    NameTable,
    OfficialFile,
    OfficialFormat,
    TensorShapes,
    numbered,
    possible_configs,
    untrained,
)
from i2i_runtime import Licence

_TWICE = Drop("the same generator is there in a file of its own")
_UNFINISHED = Drop("the training was stopped in this scale, or before it")
_WHOLE = re.compile(r"Gs\.(\d+)\.(.+)")
_HEAD = re.compile(r"(?:Gs\.(\d+)|(\d+)\.netG)\.head\.conv\.weight")
_BLOCK = re.compile(r"body\.block(\d+)\.conv\.weight")
_GREY = 1
_FOLDER = re.compile(r"scale_factor=(?P<factor>[\d.]+)(?:,alpha=(?P<alpha>\d+)|(?P<animation>_noise_padding))")
_PAINT_FOLDER = r"^start_scale=(?P<scale>\d+)$"
_PAINT_SCALE = TypeAdapter[int | None](int)
_ENLARGING_ALPHA = 100
"""weight of the reconstruction in a training for super-resolution; 10 in all others"""


class AuthorsRelease(OfficialFormat[Config]):
    """The files of one trained image, in which no hyper-parameter is named."""

    source: ClassVar[str] = "tamarott/SinGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The terms of the authors' scripts; nothing shows who trained it. The image that it was trained on "
        "has its own, and is in the weights.",
    )
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (r"Zs\.\d+", "the stored noise of all scales but the coarsest is zero"),
        (r"\d+\.netD\..+", "critics are needed for training only"),
        (r"\d+\.z_opt(\..+)?", "the same noise is in Zs.pth"),
    )
    also_needed: ClassVar[str] = "Gs.pth, a list of whole generators: load each <scale>/netG.pth into one and save them"

    def detect(self, shapes: TensorShapes) -> bool:
        """Recognise it by lists of images and of noise maps beside generators with a head."""
        generators = any(_HEAD.fullmatch(key) for key in shapes)
        return generators and "reals.0" in shapes and "reals.1" in shapes and "Zs.0" in shapes

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name the generators of Gs.pth like those of single files; leave out what belongs to a scale without one."""
        trained = _trained(names)
        single = {match[1] for name in names if (match := re.match(r"(\d+)\.netG\.", name))}
        found: dict[str, str | Drop] = {}
        for name in names:
            match, scale = _WHOLE.fullmatch(name), _scale_of(name)
            if scale is not None and scale >= trained and not name.startswith("reals."):
                found[name] = _UNFINISHED
            elif match:
                found[name] = _TWICE if match[1] in single else f"{match[1]}.netG.{match[2]}"
        return found

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Sizes from the images; the mode by the folder's name, or by the size of the coarsest image.

        Raises CheckpointError when no pyramid has such sizes.
        """
        images = [shapes[f"reals.{scale}"] for scale in numbered(shapes, r"reals\.(\d+)")]
        sizes = [(shape[-2], shape[-1]) for shape in images]
        head = shapes.get("0.netG.head.conv.weight")
        if head is None:
            raise CheckpointError(
                found="images of a pyramid, and no generator of its coarsest scale",
                expected="a generator for every image of reals.pth",
                fix="import the whole folder that the training wrote",
            )
        findings = Findings(clues)
        pyramids = list(_pyramids(shapes, sizes, head[0]))
        mode = findings.settle("mode", _mode_of(clues), pyramids[0].mode if pyramids else "generation")
        possible = [config for config in pyramids if config.mode == mode]
        if not possible:
            raise CheckpointError(
                found=f"images of {_in_words(sizes)} pixels",
                expected="a pyramid whose sides shrink by one factor from scale to scale",
                fix="import the files of one training",
            )
        config = possible[0]
        if len(possible) > 1:
            config = config.model_copy(update={"coarsest": findings.settle("coarsest", (), config.coarsest)})
        painted = clues.folder_says(_PAINT_FOLDER, "scale", _PAINT_SCALE)
        update = {
            "paint_scale": findings.settle("paint_scale", painted, None),
            "enlargement": findings.settle("enlargement", (), config.enlargement),
        }
        _remark_on(shapes, config, findings)
        return findings.inferred(config.model_copy(update=update))

    def repair(self, tensors: dict[str, Tensor], missing: TensorShapes) -> dict[str, Tensor]:
        """Fill scales that were not trained, whose amplitude says that they only enlarge; make grey ones coloured."""
        repaired, trained = {key: _coloured(key, tensor) for key, tensor in tensors.items()}, _trained(tensors)
        for name, shape in missing.items():
            scale = _scale_of(name)
            if scale is not None and scale >= trained:
                is_amplitude = name.startswith("NoiseAmp.")
                repaired[name] = torch.tensor(UNTRAINED) if is_amplitude else untrained(name, shape)
        return repaired

    def table(self, config: Config) -> NameTable:
        """For each scale its generator, its image, and how strong its noise is."""
        rows = {"Zs.0": "pyramid.noise"}
        for scale in range(config.scales):
            level = f"pyramid.levels.{scale}"
            rows |= {f"NoiseAmp.{scale}": f"{level}.amplitude", f"reals.{scale}": f"{level}.real"}
            rows |= {f"{scale}.netG.head": f"{level}.blocks.0", f"{scale}.netG.tail.0": f"{level}.to_image"}
            blocks = range(1, config.layers - 1)
            rows |= {f"{scale}.netG.body.block{number}": f"{level}.blocks.{number}" for number in blocks}
        return rows

    def complete(self, tensors: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
        """Return the noise of all scales but the coarsest, which is zero, and whose size the release's scripts read."""
        border = 2 * config.border
        sizes = enumerate(config.sizes)
        zeros = {f"Zs.{scale}": torch.zeros(1, COLOURS, h + border, w + border) for scale, (h, w) in sizes if scale}
        return tensors | zeros

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return the lists, and a generator for each scale."""
        lists = [OfficialFile(f"{name}.pth", name, "list") for name in ("Zs", "reals", "NoiseAmp")]
        return lists + [OfficialFile(f"{scale}/netG.pth", f"{scale}.netG") for scale in range(config.scales)]


def _scale_of(key: str) -> int | None:
    """Return the scale that a tensor of a generator, or of a list, belongs to."""
    match = re.match(r"(?:(?:Gs|NoiseAmp|Zs|reals)\.(\d+)|(\d+)\.(?:netG|netD|z_opt))(?:\.|$)", key)
    return int(match[1] or match[2]) if match else None


def _trained(names: Collection[str]) -> int:
    """How many scales, from the coarsest on, have all that a finished one has."""
    generators = {int(match[1] or match[2]) for name in names if (match := _HEAD.fullmatch(name))}
    scale = 0
    while scale in generators and (scale == 0 or f"NoiseAmp.{scale}" in names):
        scale += 1
    return scale


def _coloured(key: str, tensor: Tensor) -> Tensor:
    """Return a tensor of a training of grey images, for images of three equal channels; any other as it is."""
    if re.search(r"(?:^|\.)tail\.0\.(?:weight|bias)$", key) and tensor.shape[0] == _GREY:
        return tensor.repeat(COLOURS, *[1] * (tensor.dim() - 1))
    if _HEAD.fullmatch(key) and tensor.shape[1] == _GREY:
        # All channels are equal but those of noise; of which one must do, or it would be weaker.
        return torch.cat([tensor, *[torch.zeros_like(tensor)] * (COLOURS - 1)], dim=1)
    if re.fullmatch(r"(?:reals|Zs)\.\d+", key) and tensor.shape[1] == _GREY:
        return tensor.repeat(1, COLOURS, 1, 1)
    return tensor


# --- What tensors show, and what they do not --------------------------------------------------------------------------


def _mode_of(clues: Clues) -> list[Evidence[Mode]]:
    """Return what the folder is called; a training for super-resolution has another weight and a factor of its own."""
    match = _FOLDER.fullmatch(clues.folder)
    if match is None:
        return []
    mode: Mode = "generation"
    if match["animation"]:
        mode = "animation"
    elif int(match["alpha"]) == _ENLARGING_ALPHA:
        mode = "super_resolution"
    return [Evidence(mode, f"the folder's name: {clues.folder}")]


def _remark_on(shapes: TensorShapes, config: Config, findings: Findings) -> None:
    trained = _trained(shapes)
    if trained < config.scales:
        missing = f"scale {trained}" if trained == config.finest else f"scales {trained} to {config.finest}"
        findings.remark(f"the training was stopped before {missing} had a generator: only enlarged there")
    if shapes["reals.0"][1] == _GREY:
        findings.remark("trained on grey images: three equal channels; give it grey images")


def _pyramids(shapes: TensorShapes, sizes: list[Size], channels: int) -> Iterator[Config]:
    """Configs with these sizes, the likeliest mode first. The coarsest side may have been rounded up by one."""
    channel_count = shapes["reals.0"][1]
    if channel_count not in (_GREY, COLOURS):
        raise CheckpointError(
            found=f"reals.0 is an image of {channel_count} channels",
            expected="1 (grey) or 3 (colour), which the authors' scripts train on",
        )
    inner = {int(match[1]) for key in shapes if (match := _BLOCK.search(key))}
    side = min(sizes[0])
    usual: list[tuple[Mode, int]] = [item for item in COARSEST.items() if item[1] in (side, side - 1)]
    others: list[tuple[Mode, int]] = [(mode, each) for mode in COARSEST for each in (side, side - 1)]
    shown = {
        "height": sizes[-1][0],
        "width": sizes[-1][1],
        "scales": len(sizes),
        "channels": channels,
        "layers": len(inner) + 2,
    }
    candidates = dict.fromkeys([*usual, *others])
    configs = possible_configs(Config, ({**shown, "mode": mode, "coarsest": each} for mode, each in candidates))
    return (config for config in configs if config.sizes == tuple(sizes))


def _in_words(sizes: list[Size]) -> str:
    return ", ".join(f"{height}x{width}" for height, width in sizes)


OFFICIAL_FORMAT = AuthorsRelease()
