"""Checkpoints of tohinz/ConSinGAN: the folder of one training.

G.pth              the whole generator, a pickled module: read without executing anything
<stage>/netG.pth   the state dict after a stage; the last one holds the whole generator too, and is preferred
fixed_noise.pth, reals.pth, noise_amp.pth   lists with an entry for every stage; the first amplitude is no tensor
<stage>/netD.pth, <stage>/z_opt.pth         the critic, and the noise of one stage once more

No tensor tells the slope of the activation, or elu and selu apart from the default, and not every mode apart from
every other: `infer_config` then takes what the release's instructions use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from i2i_plugin_consingan.config import PICTURE_CHANNELS, Config, Mode
from i2i_plugin_consingan.presets import PRESETS
from i2i_registry.errors import CheckpointError
from i2i_registry.model import Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence
from i2i_runtime.operations import Record

if TYPE_CHECKING:
    from torch import Tensor

_REPEATED = " (again)"
"""Put behind the keys of a generator that another file holds too, and more of it."""
_GENERATOR = r"(?:G|\d+\.netG)"
_NORM = r"norm\.(weight|bias|running_mean|running_var|num_batches_tracked)"
_COUNTER = "num_batches_tracked"
_FILE = re.compile(r"(?:(G|\d+\.netG)\.)?((?:head|body|tail)\..+)")
_BLOCK = re.compile(r"body\.(\d+)\.block(\d+)\.conv\.weight")
_FOLDER = "import the folder of the training: G.pth or <stage>/netG.pth, fixed_noise.pth, reals.pth and noise_amp.pth"
_KERNEL = (3, 3)

Size = tuple[int, int]


class AuthorsRelease(OfficialFormat):
    """The files of one trained picture."""

    source: ClassVar[str] = "tohinz/ConSinGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The terms of the authors' scripts, which trained it. The picture that it was trained on has its own, "
        "and is in the weights.",
    )
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
        (r"reals\.(\d+)", r"generator.body.\1.picture"),
        (r"noise_amp\.([1-9]\d*)", r"generator.body.\1.amplitude"),
        (r"\d+\.netD\..+", Drop("the critic is needed for training only; a fine-tuning begins with a new one")),
        (r"\d+\.z_opt(\..+)?", Drop("the same noise is in fixed_noise.pth")),
    )

    def detect(self, shapes: Shapes) -> bool:
        """A generator of stages of blocks, with the files of lists or without (which `infer_config` then asks for)."""
        network = _network(shapes)
        return "body.0.block0.conv.weight" in network and network.get("head.conv.weight", ())[1:] == (
            PICTURE_CHANNELS,
            *_KERNEL,
        )

    def infer_config(self, shapes: Shapes) -> Config:
        """Sizes from the pictures; the mode from the noise's border, the spacing of the sizes and batch norm.

        Raises CheckpointError when a list is missing, or the sizes are those of no pyramid.
        """
        network = _network(shapes)
        sizes = [(shape[-2], shape[-1]) for shape in _listed(shapes, "reals")]
        noise = [(shape[-2], shape[-1]) for shape in _listed(shapes, "fixed_noise")]
        places = [(int(match[1]), int(match[2])) for key in network if (match := _BLOCK.fullmatch(key))]
        stages, layers = 1 + max(stage for stage, _ in places), 1 + max(layer for _, layer in places)
        if not len(sizes) == len(noise) == stages:
            raise CheckpointError(
                found=f"a generator of {stages} stages, {len(sizes)} pictures and {len(noise)} noise maps",
                expected="one picture and one noise map for every stage",
                fix="the training was not finished, or a file is missing: " + _FOLDER,
            )
        bordered = noise[-1] != sizes[-1]
        for mode, coarsest in _guesses(min(sizes[0]), bordered=bordered, normed="head.norm.weight" in network):
            try:
                config = Config(
                    mode=mode,
                    height=sizes[-1][0],
                    width=sizes[-1][1],
                    stages=stages,
                    coarsest=coarsest,
                    channels=network["head.conv.weight"][0],
                    layers=layers,
                    activation="prelu" if "head.prelu.weight" in network else "lrelu",
                    slope=PRESETS[mode].slope,
                    batch_norm="head.norm.weight" in network,
                )
            except ValidationError:
                continue
            if config.sizes == tuple(sizes):
                return config
        raise CheckpointError(
            found="pictures of " + ", ".join(f"{height}x{width}" for height, width in sizes) + " pixels",
            expected="a pyramid by one of the release's two rules",
            fix="import the files of one training",
        )

    def example(self, config: Record) -> Shapes:
        """The lists, and G.pth."""
        if not isinstance(config, Config):
            raise TypeError(f"a Config of ConSinGAN, not {type(config).__name__}")
        shapes: dict[str, tuple[int, ...]] = {}
        for number, size in enumerate(config.sizes):
            shapes[f"fixed_noise.{number}"] = (1, *config.noise_shape(number))
            shapes[f"reals.{number}"] = (1, PICTURE_CHANNELS, *size)
            if number:
                shapes[f"noise_amp.{number}"] = ()
        return shapes | {f"G.{key}": shape for key, shape in _generator(config)}

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark the generators that are there beside the one that is taken; counters are whole numbers."""
        taken = _taken(tensors)
        repaired: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            match = _FILE.fullmatch(key)
            again = match is not None and match[1] != taken
            repaired[key + _REPEATED if again else key] = tensor.long() if key.endswith(_COUNTER) else tensor
        return repaired


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
            expected="the generator, its noise, its amplitudes and the pictures it was trained on",
            fix=_FOLDER,
        )
    return [shapes[f"{name}.{number}"] for number in numbers]


def _guesses(side: int, *, bordered: bool, normed: bool) -> Iterator[tuple[Mode, int]]:
    """Modes, and sides of stage 0 that may have become `side` when it was rounded up; the likeliest first."""
    modes: tuple[Mode, ...] = ("retarget", "harmonization", "editing")
    if bordered:
        modes = ("generation", "animation")
    elif normed:
        modes = ("harmonization", "editing", "retarget")
    for mode in modes:
        if PRESETS[mode].coarsest in (side, side - 1):
            yield mode, PRESETS[mode].coarsest
    for mode in modes:
        yield mode, side
        yield mode, side - 1


def _generator(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The state dict."""
    yield from _layer("head", PICTURE_CHANNELS, config)
    for number in range(config.stages):
        for layer in range(config.layers):
            yield from _layer(f"body.{number}.block{layer}", config.channels, config)
    yield "tail.0.weight", (PICTURE_CHANNELS, config.channels, *_KERNEL)
    yield "tail.0.bias", (PICTURE_CHANNELS,)


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
