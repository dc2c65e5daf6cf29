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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from pydantic import PositiveFloat, PositiveInt, TypeAdapter, ValidationError
from torch import Tensor

from i2i_plugin_consingan.config import IMAGE_CHANNELS, Activation, Config, Mode
from i2i_plugin_consingan.presets import PRESETS
from i2i_registry import CheckpointError, Clues, Drop, Findings, Inferred, KeyMap, OfficialFormat, Shapes
from i2i_registry.importing.clues import Part, Said
from i2i_runtime import Licence, Record

_REPEATED = " (again)"
"""Put behind the keys of a generator that another file holds too, and more of it."""
_GENERATOR = r"(?:G|\d+\.netG)"
_NORM = r"norm\.(weight|bias|running_mean|running_var|num_batches_tracked)"
_COUNTER = "num_batches_tracked"
_FILE = re.compile(r"(?:(G|\d+\.netG)\.)?((?:head|body|tail)\..+)")
_BLOCK = re.compile(r"body\.(\d+)\.block(\d+)\.conv\.weight")
_FOLDER = "import the folder of the training: G.pth or <stage>/netG.pth, fixed_noise.pth, reals.pth and noise_amp.pth"
_KERNEL = (3, 3)

_FOLDER_NAME = re.compile(
    r"_(?P<mode>[a-z]+)(?:_fine-tune)?_train_depth_\d+_lr_scale_[\d.e-]+(?:_BN)?_act_(?P<act>[a-z]+)(?:_(?P<slope>[\d.]+))?$"
)
_MODULES: dict[str, Activation] = {"LeakyReLU": "lrelu", "ELU": "elu", "SELU": "selu"}
_MODE = TypeAdapter[Mode](Mode)
_ACTIVATION = TypeAdapter[Activation](Activation)
_SLOPE = TypeAdapter[PositiveFloat](PositiveFloat)
_SIDE = TypeAdapter[PositiveInt](PositiveInt)

Size = tuple[int, int]
T = TypeVar("T")


class AuthorsRelease(OfficialFormat):
    """The files of one trained image."""

    source: ClassVar[str] = "tohinz/ConSinGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The terms of the authors' scripts; nothing shows who trained it. The image that it was trained on "
        "has its own, and is in the weights.",
    )
    option_files: ClassVar[tuple[str, ...]] = ("parameters.txt",)
    keys: ClassVar[KeyMap] = (
        (r".+" + re.escape(_REPEATED), Drop("another file holds the same generator, or more stages of it")),
        (rf"{_GENERATOR}\.head\.conv\.(weight|bias)", r"generator.head.conv.\1"),
        (rf"{_GENERATOR}\.head\.{_NORM}", r"generator.head.norm.\1"),
        (rf"{_GENERATOR}\.head\.prelu\.weight", "generator.head.act.weight"),
        (rf"{_GENERATOR}\.body\.(\d+)\.block(\d+)\.conv\.(weight|bias)", r"generator.body.\1.layers.\2.conv.\3"),
        (rf"{_GENERATOR}\.body\.(\d+)\.block(\d+)\.{_NORM}", r"generator.body.\1.layers.\2.norm.\3"),
        (rf"{_GENERATOR}\.body\.(\d+)\.block(\d+)\.prelu\.weight", r"generator.body.\1.layers.\2.act.weight"),
        (rf"{_GENERATOR}\.tail\.0\.(weight|bias)", r"generator.tail.\1"),
        (r"fixed_noise\.(\d+)", r"generator.body.\1.noise"),
        (r"reals\.(\d+)", r"generator.body.\1.image"),
        (r"noise_amp\.([1-9]\d*)", r"generator.body.\1.amplitude"),
        (r"\d+\.netD\..+", Drop("the critic is needed for training only; a fine-tuning begins with a new one")),
        (r"\d+\.z_opt(\..+)?", Drop("the same noise is in fixed_noise.pth")),
    )

    def detect(self, shapes: Shapes) -> bool:
        """A generator of stages of blocks, with the files of lists or without (which `infer_config` then asks for)."""
        network = _network(shapes)
        return "body.0.block0.conv.weight" in network and network.get("head.conv.weight", ())[1:] == (
            IMAGE_CHANNELS,
            *_KERNEL,
        )

    def infer_config(self, shapes: Shapes) -> Config:
        """By shapes alone: sizes from the images; the mode by the noise's border, the sizes and batch norm.

        Raises CheckpointError when a list is missing, or the sizes are those of no pyramid.
        """
        return _config_of(shapes, Clues())[0]

    def infer(self, shapes: Shapes, clues: Clues) -> Inferred:
        """Mode, activation and slope by the options of the training, wherever they were left.

        Raises CheckpointError when a list is missing, or the sizes are those of no pyramid.
        """
        config, findings = _config_of(shapes, clues)
        return findings.inferred(config)

    def example(self, config: Record) -> Shapes:
        """The lists, and G.pth."""
        if not isinstance(config, Config):
            raise TypeError(f"a Config of ConSinGAN, not {type(config).__name__}")
        shapes: dict[str, tuple[int, ...]] = {}
        for number, size in enumerate(config.sizes):
            shapes[f"fixed_noise.{number}"] = (1, *config.noise_shape(number))
            shapes[f"reals.{number}"] = (1, IMAGE_CHANNELS, *size)
            if number:
                shapes[f"noise_amp.{number}"] = ()
        return shapes | {f"G.{key}": shape for key, shape in _generator(config)}

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark the generators that are there beside the one that is taken, and fill the stages of a stopped training.

        Counters are whole numbers.
        """
        taken = _taken(tensors)
        repaired: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            match = _FILE.fullmatch(key)
            again = match is not None and match[1] != taken
            repaired[key + _REPEATED if again else key] = tensor.long() if key.endswith(_COUNTER) else tensor
        if "reals.0" in tensors and taken is not None:
            repaired |= _never_trained(_config_of(_shapes_of(tensors), Clues())[0], taken, _stages_of(tensors))
        return repaired


def _never_trained(config: Config, taken: str, trained: int) -> dict[str, Tensor]:
    """Stages that a training did not come to; their amplitude of 0 says that they only enlarge."""
    filled: dict[str, Tensor] = {}
    for number in range(trained, config.stages):
        filled[f"fixed_noise.{number}"] = torch.zeros(1, *config.noise_shape(number))
        filled[f"noise_amp.{number}"] = torch.zeros(())
        for layer in range(config.layers):
            for key, shape in _layer(f"body.{number}.block{layer}", config.channels, config):
                whole = key.endswith(_COUNTER)
                filled[f"{taken}.{key}"] = torch.zeros(shape, dtype=torch.int64 if whole else torch.float32)
                if key.endswith(("norm.weight", "norm.running_var")):
                    filled[f"{taken}.{key}"].fill_(1)
    return filled


def _shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _stages_of(keys: Iterable[str]) -> int:
    """How many stages the noise maps are of."""
    return sum(re.fullmatch(r"fixed_noise\.\d+", key) is not None for key in keys)


def _taken(keys: Shapes | dict[str, Tensor]) -> str | None:
    """The file whose generator is taken: the last stage's, else G.pth, else one without a prefix."""
    files = {match[1] for key in keys if (match := _FILE.fullmatch(key))}
    stages = [file for file in files if file and file != "G"]
    if stages:
        return max(stages, key=lambda file: int(file.partition(".")[0]))
    return "G" if "G" in files else None


def _network(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The tensors of the generator that is taken, bare of their file."""
    taken = _taken(shapes)
    named = ((_FILE.fullmatch(key), shape) for key, shape in shapes.items())
    return {match[2]: shape for match, shape in named if match and match[1] == taken}


def _listed(shapes: Shapes, name: str) -> list[tuple[int, ...]]:
    """The shapes in a list of tensors."""
    numbers = sorted(int(match[1]) for key in shapes if (match := re.fullmatch(rf"{name}\.(\d+)", key)))
    if not numbers or numbers != list(range(len(numbers))):
        raise CheckpointError(
            found=f"{name}.pth is missing" if not numbers else f"a tensor of {name}.pth is missing",
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


def _seen(shapes: Shapes) -> _Seen:
    network = _network(shapes)
    sizes = tuple((shape[-2], shape[-1]) for shape in _listed(shapes, "reals"))
    noise = [(shape[-2], shape[-1]) for shape in _listed(shapes, "fixed_noise")]
    places = [(int(match[1]), int(match[2])) for key in network if (match := _BLOCK.fullmatch(key))]
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
        channels=network["head.conv.weight"][0],
        stages=stages,
        bordered=noise[-1] != sizes[stages - 1],
        normed="head.norm.weight" in network,
        learned_slope="head.prelu.weight" in network,
    )


def _config_of(shapes: Shapes, clues: Clues) -> tuple[Config, Findings]:
    seen = _seen(shapes)
    clues = clues.believed(seen.options)
    findings = Findings(clues)
    said = [*clues.option("train_mode", _MODE), *_in_folder(clues, "mode", _MODE)]
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
    return geometry.model_copy(update=fields), findings


def _activation(clues: Clues, findings: Findings, mode: Mode) -> dict[str, object]:
    """Kind and slope: by pickled modules, by options, by the folder."""
    modules: list[tuple[Activation, Part]] = [
        (_MODULES[kind], part)
        for part in clues.parts_at(r"(?:.+\.)?head\.\w+")
        if (kind := part.kind.rpartition(".")[2]) in _MODULES
    ]
    kinds = list[Said[Activation]]()
    for kind, part in modules:
        kinds.append(Said(kind, f"{part.where}'s modules: {part.kind.rpartition('.')[2]}"))
    kinds += [*clues.option("activation", _ACTIVATION), *_in_folder(clues, "act", _ACTIVATION)]
    activation = findings.settle("activation", kinds, "lrelu")
    if activation != "lrelu":
        return {"activation": activation}
    slopes = [
        Said(slope, f"{part.where}'s modules: negative_slope = {slope}")
        for _, part in modules
        if isinstance(slope := part.values.get("negative_slope"), float)
    ]
    slopes += [*clues.option("lrelu_alpha", _SLOPE), *_in_folder(clues, "slope", _SLOPE)]
    return {"activation": activation, "slope": findings.settle("slope", slopes, PRESETS[mode].slope)}


def _in_folder(clues: Clues, part: str, kind: TypeAdapter[T]) -> list[Said[T]]:
    """What the folder's name says, if it is one that the release gives."""
    match = _FOLDER_NAME.search(clues.folder)
    if match is None or match[part] is None:
        return []
    try:
        return [Said(kind.validate_python(match[part]), f"the folder's name: {clues.folder}")]
    except ValidationError:
        return []


def _minimum(clues: Clues) -> int | None:
    """The side of stage 0 that the training was asked for, if it is known."""
    return next((said.value for said in clues.option("min_size", _SIDE)), None)


def _pyramids(seen: _Seen, minimum: int | None) -> Iterator[Config]:
    """Configs with these sizes, the likeliest mode first. The side of stage 0 may have been rounded up by one."""
    side = min(seen.sizes[0])
    usual: list[tuple[Mode, int]] = [(mode, PRESETS[mode].coarsest) for mode in seen.modes]
    sides: list[tuple[Mode, int]] = [
        (mode, each) for mode in seen.modes for each in (minimum, side, side - 1) if each is not None
    ]
    for mode, coarsest in dict.fromkeys([*usual, *sides]):
        try:
            config = Config(
                mode=mode,
                height=seen.sizes[-1][0],
                width=seen.sizes[-1][1],
                stages=len(seen.sizes),
                coarsest=coarsest,
                channels=seen.channels,
                layers=seen.layers,
                batch_norm=seen.normed,
            )
        except ValidationError:
            continue
        if config.sizes == seen.sizes:
            yield config


def _generator(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The state dict."""
    yield from _layer("head", IMAGE_CHANNELS, config)
    for number in range(config.stages):
        for layer in range(config.layers):
            yield from _layer(f"body.{number}.block{layer}", config.channels, config)
    yield "tail.0.weight", (IMAGE_CHANNELS, config.channels, *_KERNEL)
    yield "tail.0.bias", (IMAGE_CHANNELS,)


def _layer(name: str, channels_in: int, config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.conv.weight", (config.channels, channels_in, *_KERNEL)
    yield f"{name}.conv.bias", (config.channels,)
    if config.batch_norm:
        for key in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.norm.{key}", (config.channels,)
        yield f"{name}.norm.num_batches_tracked", ()
    if config.activation == "prelu":
        yield f"{name}.prelu.weight", (1,)


CONSINGAN_FORMAT = AuthorsRelease()
"""What the model imports."""
