"""Folders that the authors' scripts write: TrainedModels/<picture>/<settings>/.

Gs.pth holds whole generators and Zs.pth, reals.pth and NoiseAmp.pth lists of tensors; beside them is a folder for each
scale with netG.pth, a state dict of the same generator. Together the files are one checkpoint, in which a tensor's name
begins with its file's ("Gs.0.head.conv.weight", "0.netG.head.conv.weight", "NoiseAmp.1").
"""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import ValidationError
from torch import Tensor

from i2i_plugin_singan.config import COARSEST, COLOURS, Config, Mode, Size
from i2i_registry.errors import CheckpointError
from i2i_registry.model import Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence
from i2i_runtime.operations import Record

COUNTER = "num_batches_tracked"
_TWICE = " (in a file of its own as well)"
"""Put behind the keys of Gs.pth where there are files of single generators too."""
_NETWORK = r"(?:Gs\.(\d+)|(\d+)\.netG)"
_SCALE = r"\1\2"
_LEVEL = rf"pyramid.levels.{_SCALE}"
_HEAD = re.compile(rf"{_NETWORK}\.head\.conv\.weight")
_BLOCK = re.compile(r"body\.block(\d+)\.conv\.weight")


class AuthorsRelease(OfficialFormat):
    """The files of one trained picture, in which no hyper-parameter is named."""

    source: ClassVar[str] = "tamarott/SinGAN"
    licence: ClassVar[Licence] = Licence(
        spdx="MIT",
        notes="The terms of the authors' scripts; nothing shows who trained it. The picture that it was trained on "
        "has its own, and is in the weights.",
    )
    keys: ClassVar[KeyMap] = (
        (r".+" + re.escape(_TWICE), Drop("the same generator is there in a file of its own")),
        (rf"{_NETWORK}\.head\.(.+)", rf"{_LEVEL}.blocks.0.\3"),
        (rf"{_NETWORK}\.body\.block(\d+)\.(.+)", rf"{_LEVEL}.blocks.\3.\4"),
        (rf"{_NETWORK}\.tail\.0\.(weight|bias)", rf"{_LEVEL}.to_image.\3"),
        (r"NoiseAmp\.(\d+)", r"pyramid.levels.\1.amplitude"),
        (r"Zs\.0", "pyramid.noise"),
        (r"Zs\.\d+", Drop("the stored noise of all scales but the coarsest is zero")),
        (r"reals\.(\d+)", r"pyramid.levels.\1.real"),
        (r"\d+\.netD\..+", Drop("critics are needed for training only")),
        (r"\d+\.z_opt(\..+)?", Drop("the same noise is in Zs.pth")),
    )

    def detect(self, shapes: Shapes) -> bool:
        """Lists of pictures and of noise maps beside generators with a head."""
        generators = any(_HEAD.fullmatch(key) for key in shapes)
        return generators and "reals.0" in shapes and "reals.1" in shapes and "Zs.0" in shapes

    def infer_config(self, shapes: Shapes) -> Config:
        """Sizes from the pictures; the mode, which no tensor shows, from the size of the coarsest one.

        Raises CheckpointError when no pyramid has such sizes.
        """
        sizes = [(shape[-2], shape[-1]) for shape in _numbered(shapes, "reals")]
        head = shapes.get("Gs.0.head.conv.weight", shapes.get("0.netG.head.conv.weight"))
        if head is None:
            raise CheckpointError(
                found="pictures of a pyramid, and no generator of its coarsest scale",
                expected="a generator for every picture of reals.pth",
                fix="import the whole folder that the training wrote",
            )
        inner = {int(match[1]) for key in shapes if (match := _BLOCK.search(key))}
        for mode, coarsest in _guesses(min(sizes[0])):
            try:
                config = Config(
                    mode=mode,
                    height=sizes[-1][0],
                    width=sizes[-1][1],
                    scales=len(sizes),
                    coarsest=coarsest,
                    channels=head[0],
                    layers=len(inner) + 2,
                )
            except ValidationError:
                continue
            if config.sizes == tuple(sizes):
                return config
        raise CheckpointError(
            found=f"pictures of {_in_words(sizes)} pixels",
            expected="a pyramid whose sides shrink by one factor from scale to scale",
            fix="import the files of one training",
        )

    def example(self, config: Record) -> Shapes:
        """All files of a training but those of single scales."""
        config = _as_config(config)
        border = 2 * config.border
        sizes = config.sizes
        shapes: dict[str, tuple[int, ...]] = {}
        for scale, (height, width) in enumerate(sizes):
            shapes[f"Zs.{scale}"] = (1, COLOURS, height + border, width + border)
            shapes[f"reals.{scale}"] = (1, COLOURS, height, width)
            if scale:
                shapes[f"NoiseAmp.{scale}"] = ()
        for scale in range(config.scales):
            shapes |= {f"Gs.{scale}.{key}": shape for key, shape in _generator(config, scale).items()}
        return shapes

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Generators that are there twice are marked once; counters are made the whole numbers that they are."""
        tensors = {key: tensor.long() if key.endswith(COUNTER) else tensor for key, tensor in tensors.items()}
        single = {match[1] for key in tensors if (match := re.match(r"(\d+)\.netG\.", key))}
        return {
            key + _TWICE if (match := re.match(r"Gs\.(\d+)\.", key)) and match[1] in single else key: tensor
            for key, tensor in tensors.items()
        }


def _as_config(config: Record) -> Config:
    if not isinstance(config, Config):
        raise TypeError(f"a Config of SinGAN, not {type(config).__name__}")
    return config


def _numbered(shapes: Shapes, name: str) -> list[tuple[int, ...]]:
    """The shapes of a list of tensors, in order."""
    numbers = sorted(int(match[1]) for key in shapes if (match := re.fullmatch(rf"{name}\.(\d+)", key)))
    return [shapes[f"{name}.{number}"] for number in numbers]


def _guesses(side: int) -> list[tuple[Mode, int]]:
    """Modes, and sides of the coarsest scale that may have become `side` when it was rounded up."""
    usual: list[tuple[Mode, int]] = [
        (mode, coarsest) for mode, coarsest in COARSEST.items() if coarsest in (side, side - 1)
    ]
    return [*usual, ("generation", side), ("generation", side - 1)]


def _generator(config: Config, scale: int) -> Shapes:
    """The state dict of one scale."""
    channels = config.width_at(scale)
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(config.layers - 1):
        name = f"body.block{number}" if number else "head"
        shapes |= {
            f"{name}.conv.weight": (channels, channels if number else COLOURS, 3, 3),
            f"{name}.conv.bias": (channels,),
            f"{name}.norm.{COUNTER}": (),
        }
        shapes |= {f"{name}.norm.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, "tail.0.weight": (COLOURS, channels, 3, 3), "tail.0.bias": (COLOURS,)}


def _in_words(sizes: list[Size]) -> str:
    return ", ".join(f"{height}x{width}" for height, width in sizes)


OFFICIAL_FORMAT = AuthorsRelease()
