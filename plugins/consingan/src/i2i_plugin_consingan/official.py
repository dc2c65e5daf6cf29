"""Checkpoints of tohinz/ConSinGAN: the folder of one training.

G.pth              the whole generator, a pickled module: read without executing anything
<stage>/netG.pth   the state dict after a stage; the last one holds the whole generator too, and is preferred
fixed_noise.pth, reals.pth, noise_amp.pth   lists with an entry for every stage; the first amplitude is no tensor
<stage>/netD.pth, <stage>/z_opt.pth         the critic, and the noise of one stage once more
parameters.txt     the options of the training, a name and a value a line

No tensor tells the slope of the activation, or elu and selu apart from the default, and not every mode apart from
every other. G.pth's own modules do, the options that were pickled with it, parameters.txt, and the folder's name
("..._retarget_train_depth_3_lr_scale_0.1_act_lrelu_0.05"); where none of them is there, what the release's instructions
use is taken for granted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt, TypeAdapter
from torch import Tensor

from i2i_plugin_consingan.config import IMAGE_CHANNELS, PRESETS, Activation, Config, Mode
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
    PickledModule,
    TensorShapes,
    canonical_shapes,
    numbered,
    possible_configs,
    untrained,
)
from i2i_runtime import Licence

_REPEATED = Drop("another file holds the same generator, or more stages of it")
_FILE = re.compile(r"(?:(G|\d+\.netG)\.)?((?:head|body|tail)\..+)")
_STAGE = re.compile(r"(?:G\.body|fixed_noise|noise_amp)\.(\d+)(?:\.|$)")
_BLOCK = re.compile(r"G\.body\.(\d+)\.block(\d+)\.conv\.weight")
_FOLDER = "import the folder of the training: G.pth or <stage>/netG.pth, fixed_noise.pth, reals.pth and noise_amp.pth"
_KERNEL = (3, 3)

_FOLDER_NAME = (
    r"_(?P<mode>[a-z]+)(?:_fine-tune)?_train_depth_\d+_lr_scale_[\d.e-]+(?:_BN)?"
    r"_act_(?P<act>[a-z]+)(?:_(?P<slope>[\d.]+))?$"
)
_MODULES: dict[str, Activation] = {"LeakyReLU": "lrelu", "ELU": "elu", "SELU": "selu"}
_MODE = TypeAdapter[Mode](Mode)
_ACTIVATION = TypeAdapter[Activation](Activation)
_SLOPE = TypeAdapter[PositiveFloat](PositiveFloat)
_SIDE = TypeAdapter[PositiveInt](PositiveInt)

Size = tuple[int, int]


class AuthorsRelease(OfficialFormat[Config]):
    """The files of one trained image."""

    source: ClassVar[str] = "tohinz/ConSinGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The terms of the authors' scripts; nothing shows who trained it. The image that it was trained on "
        "has its own, and is in the weights.",
    )
    option_files: ClassVar[tuple[str, ...]] = ("parameters.txt",)
    left_out: ClassVar[Sequence[tuple[str, str]]] = (
        (r"\d+\.netD\..+", "the critic is needed for training only; a fine-tuning begins with a new one"),
        (r"\d+\.z_opt(\..+)?", "the same noise is in fixed_noise.pth"),
    )
    also_needed: ClassVar[str] = (
        "parameters.txt, the options of its training, and G.pth, the whole generator: load <stage>/netG.pth into one"
    )

    def detect(self, shapes: TensorShapes) -> bool:
        """Recognise it by a generator of stages of blocks; if the files of lists are missing, `infer` asks for them."""
        named = canonical_shapes(self, shapes)
        return "G.body.0.block0.conv.weight" in named and named.get("G.head.conv.weight", ())[1:] == (
            IMAGE_CHANNELS,
            *_KERNEL,
        )

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """Name the generator "G.", whatever file it is taken from; others are left out."""
        taken = _taken(names)
        found = ((name, match) for name in names if (match := _FILE.fullmatch(name)))
        return {name: f"G.{match[2]}" if match[1] == taken else _REPEATED for name, match in found}

    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[Config]:
        """Mode, activation and slope by the options of the training, wherever they were left.

        Raises CheckpointError when a list is missing, or the sizes are those of no pyramid.
        """
        seen = _seen(shapes)
        clues = clues.believed(seen.options)
        findings = Findings(clues)
        said = [*clues.option("train_mode", _MODE), *clues.folder_says(_FOLDER_NAME, "mode", _MODE)]
        pyramids = list(_pyramids(seen, _minimum(clues)))
        likeliest = pyramids[0].mode if pyramids else seen.modes[0]
        mode = findings.settle("mode", said, likeliest)
        geometry = next((config for config in pyramids if config.mode == mode), None)
        if geometry is None:
            raise CheckpointError(
                found="images of " + ", ".join(f"{height}x{width}" for height, width in seen.sizes) + " pixels",
                expected="a pyramid by one of the release's two rules" + (f", for {mode}" if said else ""),
                fix="import the files of one training",
            )
        fields: dict[str, object] = {"activation": "prelu"}
        if not seen.learned_slope:
            fields = _activation(clues, findings, mode)
        if seen.stages < len(seen.sizes):
            findings.remark(
                f"the training was stopped after {seen.stages} of {len(seen.sizes)} stages: only enlarged behind"
            )
        return findings.inferred(geometry.model_copy(update=fields))

    def repair(self, tensors: dict[str, Tensor], missing: TensorShapes) -> dict[str, Tensor]:
        """Fill the stages of a stopped training; their amplitude of 0 says that they only enlarge."""
        trained = sum(name.startswith("fixed_noise.") for name in tensors)
        stages = {name: int(match[1]) for name in missing if (match := _STAGE.match(name))}
        return tensors | {name: untrained(name, missing[name]) for name, at in stages.items() if at >= trained}

    def table(self, config: Config) -> NameTable:
        """Return the generator, and for each stage its noise, its image, and how strong the noise is."""
        rows = {"G.head": "generator.head", "G.head.prelu": "generator.head.act", "G.tail.0": "generator.tail"}
        for stage in range(config.stages):
            ours = f"generator.body.{stage}"
            rows |= {f"fixed_noise.{stage}": f"{ours}.noise", f"reals.{stage}": f"{ours}.image"}
            rows[f"noise_amp.{stage}"] = f"{ours}.amplitude"
            for layer in range(config.layers):
                block = f"G.body.{stage}.block{layer}"
                rows |= {block: f"{ours}.layers.{layer}", f"{block}.prelu": f"{ours}.layers.{layer}.act"}
        return rows

    def files(self, config: Config) -> Sequence[OfficialFile]:
        """Return the lists, and the generator after the last stage."""
        lists = [OfficialFile(f"{name}.pth", name, "list") for name in ("fixed_noise", "reals", "noise_amp")]
        return [*lists, OfficialFile(f"{config.stages - 1}/netG.pth", "G")]


def _taken(keys: Collection[str]) -> str | None:
    """Return the file whose generator is taken: the last stage's, else G.pth, else one without a prefix."""
    files = {match[1] for key in keys if (match := _FILE.fullmatch(key))}
    stages = [file for file in files if file and file != "G"]
    if stages:
        return max(stages, key=lambda file: int(file.partition(".")[0]))
    return "G" if "G" in files else None


def _listed(shapes: TensorShapes, name: str) -> list[tuple[int, ...]]:
    """Return the shapes in a list of tensors."""
    numbers = numbered(shapes, rf"{name}\.(\d+)")
    if not numbers:
        raise CheckpointError(
            found=f"{name}.pth is missing",
            expected="the generator, its noise, its amplitudes and the images it was trained on",
            fix=_FOLDER,
        )
    return [shapes[f"{name}.{number}"] for number in numbers]


# --- What tensors show, and what they do not --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the tensors of one training show."""

    sizes: tuple[Size, ...]
    """of the images, coarse to fine"""
    stages: int
    """that were trained"""
    layers: int
    channels: int
    bordered: bool
    """whether noise has more rows and columns than its image"""
    normed: bool
    learned_slope: bool

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that are possible, the likeliest first."""
        if self.bordered:
            return ("generation", "animation")
        return ("harmonization", "editing", "retarget") if self.normed else ("retarget", "harmonization", "editing")

    @property
    def options(self) -> dict[str, tuple[object, ...]]:
        """What the release's options can be."""
        activations: tuple[Activation, ...] = ("prelu",) if self.learned_slope else ("lrelu", "elu", "selu")
        return {
            "nfc": (self.channels,),
            "num_layer": (self.layers,),
            "train_stages": (len(self.sizes),),
            "batch_norm": (self.normed,),
            "train_mode": self.modes,
            "activation": activations,
        }


def _seen(shapes: TensorShapes) -> _Seen:
    sizes = tuple((shape[-2], shape[-1]) for shape in _listed(shapes, "reals"))
    noise = [(shape[-2], shape[-1]) for shape in _listed(shapes, "fixed_noise")]
    places = [(int(match[1]), int(match[2])) for key in shapes if (match := _BLOCK.fullmatch(key))]
    stages, layers = 1 + max(stage for stage, _ in places), 1 + max(layer for _, layer in places)
    # A training that was stopped has images of all stages, and the rest of those that it had finished.
    if not (len(noise) == stages and (stages == len(sizes) or 1 < stages < len(sizes))):
        raise CheckpointError(
            found=f"a generator of {stages} stages, {len(sizes)} images and {len(noise)} noise maps",
            expected="one image and one noise map for every stage",
            fix="the training was not finished, or a file is missing: " + _FOLDER,
        )
    return _Seen(
        sizes=sizes,
        layers=layers,
        channels=shapes["G.head.conv.weight"][0],
        stages=stages,
        bordered=noise[-1] != sizes[stages - 1],
        normed="G.head.norm.weight" in shapes,
        learned_slope="G.head.prelu.weight" in shapes,
    )


def _activation(clues: Clues, findings: Findings, mode: Mode) -> dict[str, object]:
    """Kind and slope: by pickled modules, by options, by the folder."""
    modules: list[tuple[Activation, PickledModule]] = [
        (_MODULES[kind], part)
        for part in clues.parts_at(r"(?:.+\.)?head\.\w+")
        if (kind := part.kind.rpartition(".")[2]) in _MODULES
    ]
    kinds = list[Evidence[Activation]]()
    for kind, part in modules:
        kinds.append(Evidence(kind, f"{part.where}'s modules: {part.kind.rpartition('.')[2]}"))
    kinds += [*clues.option("activation", _ACTIVATION), *clues.folder_says(_FOLDER_NAME, "act", _ACTIVATION)]
    activation = findings.settle("activation", kinds, "lrelu")
    if activation != "lrelu":
        return {"activation": activation}
    slopes = [
        Evidence(slope, f"{part.where}'s modules: negative_slope = {slope}")
        for _, part in modules
        if isinstance(slope := part.values.get("negative_slope"), float)
    ]
    slopes += [*clues.option("lrelu_alpha", _SLOPE), *clues.folder_says(_FOLDER_NAME, "slope", _SLOPE)]
    return {"activation": activation, "slope": findings.settle("slope", slopes, PRESETS[mode].slope)}


def _minimum(clues: Clues) -> int | None:
    """Return the side of stage 0 that the training was asked for, if it is known."""
    return next((said.value for said in clues.option("min_size", _SIDE)), None)


def _pyramids(seen: _Seen, minimum: int | None) -> Iterator[Config]:
    """Configs with these sizes, the likeliest mode first. The side of stage 0 may have been rounded up by one."""
    side = min(seen.sizes[0])
    usual: list[tuple[Mode, int]] = [(mode, PRESETS[mode].coarsest) for mode in seen.modes]
    sides: list[tuple[Mode, int]] = [
        (mode, each) for mode in seen.modes for each in (minimum, side, side - 1) if each is not None
    ]
    shown = {
        "height": seen.sizes[-1][0],
        "width": seen.sizes[-1][1],
        "stages": len(seen.sizes),
        "channels": seen.channels,
        "layers": seen.layers,
        "batch_norm": seen.normed,
    }
    candidates = dict.fromkeys([*usual, *sides])
    configs = possible_configs(Config, ({**shown, "mode": mode, "coarsest": each} for mode, each in candidates))
    return (config for config in configs if config.sizes == seen.sizes)


CONSINGAN_FORMAT = AuthorsRelease()
"""What the model imports."""
