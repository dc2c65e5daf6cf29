"""Checkpoints of assafshocher/InGAN: `checkpoint_0075000.pth.tar`, one file with both networks and their optimizers.

It holds no hyper-parameters; the generator's are read off its tensors. What torch 0.4 and 1.0 left out or saved beside
it needs no repair: the second vector of a spectral norm follows from the first one at every pass, and a normalised
kernel from the raw one.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_ingan.config import Config
from i2i_registry import CheckpointError, Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime import Licence

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_runtime import Record

SOURCE = "assafshocher/InGAN"

COUNTER = "num_batches_tracked"

ENTRY = "G.entry_block.1.weight_orig"
_SIGNATURE = frozenset(
    {
        ENTRY,
        "G.final_block.1.weight",
        "G.downscale_block.conv_0.1.weight_orig",
        "G.upscale_block.conv_0.1.weight_orig",
        "G.bottleneck_block.0.conv_block.0.weight_orig",
    }
)
_DOWNSCALE = re.compile(r"G\.downscale_block\.conv_(\d+)\.1\.weight_orig")
_BLOCK = re.compile(r"G\.bottleneck_block\.(\d+)\.conv_block\.0\.weight_orig")

_NORM = "(weight|bias|running_mean|running_var|num_batches_tracked)"
_PLACES = (
    (r"entry_block\.1", r"entry_block\.2", "entry.conv", "entry.norm"),
    (r"downscale_block\.conv_(\d+)\.1", r"downscale_block\.conv_(\d+)\.2", r"down.\1.conv", r"down.\1.norm"),
    (r"upscale_block\.conv_(\d+)\.1", r"upscale_block\.conv_(\d+)\.2", r"up.\1.conv", r"up.\1.norm"),
    *(
        (
            rf"bottleneck_block\.(\d+)\.conv_block\.{place}",
            rf"bottleneck_block\.(\d+)\.conv_block\.{place + 1}",
            rf"blocks.\1.{conv}",
            rf"blocks.\1.{norm}",
        )
        for place, conv, norm in (
            (0, "narrow.conv", "narrow.norm"),
            (4, "inner.conv", "inner.norm"),
            (7, "widen", "norm"),
        )
    ),
)
"""A convolution and the norm behind it: patterns of the release's names, our names."""

_SPECTRAL = (("weight_orig", "weight"), ("bias", "bias"), ("weight_u", "direction"))

_FOLLOWS = Drop("follows from weight_orig and weight_u at every pass")
_TRAINING = Drop("needed to go on with the release's training only")


def _generator_keys() -> KeyMap:
    lines: list[tuple[str, str | Drop]] = [(r"final_block\.1\.(weight|bias)", r"to_image.\1")]
    for conv, norm, our_conv, our_norm in _PLACES:
        lines += [(rf"{conv}\.{theirs}", f"{our_conv}.{ours}") for theirs, ours in _SPECTRAL]
        group = 2 if "(" in norm else 1
        lines += [(rf"{norm}\.{_NORM}", rf"{our_norm}.\{group}"), (rf"{conv}\.weight(_v)?", _FOLLOWS)]
    return lines


GENERATOR_KEYS: KeyMap = _generator_keys()
"""Inside the generator."""

CRITIC_PLACES = ((0, "convs.0"), (3, "convs.1"), (6, "convs.2"), (9, "judge"))
CRITIC_KEYS: KeyMap = (
    *(
        (rf"nets\.(\d+)\.{place}\.{theirs}", rf"nets.\1.{conv}.{ours}")
        for place, conv in CRITIC_PLACES
        for theirs, ours in _SPECTRAL
    ),
    *((rf"nets\.(\d+)\.{3 * level + 1}\.{_NORM}", rf"nets.\1.norms.{level}.\2") for level in range(3)),
    (r"nets\.(\d+)\.[0369]\.weight(_v)?", _FOLLOWS),
)
"""Inside the critic, which a checkpoint keeps for training only; the recordings hold one."""


def _total_map() -> KeyMap:
    generator = [(rf"G\.{key}", f"generator.{to}" if isinstance(to, str) else to) for key, to in GENERATOR_KEYS]
    critic = [(rf"D\.{key}", _TRAINING) for key, _ in CRITIC_KEYS]
    optimizers = (r"optim_[GD]\.state\.\d+\.(step|exp_avg|exp_avg_sq)", _TRAINING)
    return (*generator, *critic, optimizers)


class InGANRelease(OfficialFormat):
    """Generator, critic and optimizers in one dictionary; no hyper-parameters."""

    source: ClassVar[str] = SOURCE
    licence: ClassVar[Licence] = Licence(
        spdx="LicenseRef-Weizmann-Academic-Non-Commercial",
        notes="The authors' code, with which such weights are made, is under the Weizmann Institute's Academic Non "
        "Commercial Software Code License: academic and other non-commercial use only, derived works under the same "
        "terms; commercial rights are Yeda's. Patents may exist.",
        non_commercial=True,
    )
    keys: ClassVar[KeyMap] = _total_map()

    def detect(self, shapes: Shapes) -> bool:
        """A generator under "G" with the release's five parts."""
        return shapes.keys() >= _SIGNATURE and len(shapes[ENTRY]) == len(("k", "c", "y", "x"))

    def infer_config(self, shapes: Shapes) -> Config:
        """Width, downscales and blocks. The size of the training image is in no tensor: it gets the default."""
        numbers = [
            sorted(int(match[1]) for key in shapes if (match := pattern.fullmatch(key)))
            for pattern in (_DOWNSCALE, _BLOCK)
        ]
        for found in numbers:
            if found != list(range(len(found))):
                raise CheckpointError(
                    found=f"a generator whose parts are numbered {found}",
                    expected="numbers from 0 without gaps",
                    fix="the file is damaged, or was changed",
                )
        downscales, blocks = map(len, numbers)
        return Config(channels=shapes[ENTRY][0], downscales=downscales, blocks=blocks)

    def unseen(self, config: Record) -> tuple[str, ...]:
        """The size of the training image."""
        del config
        return ("height", "width")

    def example(self, config: Record) -> Shapes:
        """Generator, one net of the critic, and what Adam keeps of the first tensor."""
        settings = cast("Config", config)
        widths = [settings.channels * 2**level for level in range(settings.downscales + 1)]
        entry = _conv_and_norm("G.entry_block.{}", 1, (widths[0], 3, 7, 7))
        shapes: dict[str, tuple[int, ...]] = dict(entry)
        for level, (narrow, wide) in enumerate(pairwise(widths)):
            shapes |= _conv_and_norm(f"G.downscale_block.conv_{level}.{{}}", 1, (wide, narrow, 3, 3))
            shapes |= _conv_and_norm(f"G.upscale_block.conv_{level}.{{}}", 1, (narrow, wide, 3, 3))
        width, narrow = widths[-1], widths[-1] // 4
        for number in range(settings.blocks):
            inside = f"G.bottleneck_block.{number}.conv_block.{{}}"
            shapes |= _conv_and_norm(inside, 0, (narrow, width, 1, 1))
            shapes |= _conv_and_norm(inside, 4, (narrow, narrow, 3, 3))
            shapes |= _conv_and_norm(inside, 7, (width, narrow, 1, 1))
        shapes |= {"G.final_block.1.weight": (3, widths[0], 7, 7), "G.final_block.1.bias": (3,)}
        for place, kernel in ((0, (8, 3, 3, 3)), (3, (16, 8, 3, 3)), (6, (16, 16, 3, 3))):
            shapes |= _conv_and_norm("D.nets.0.{}", place, kernel)
        shapes |= _spectral("D.nets.0.9", (1, 16, 1, 1))
        moments = {f"optim_G.state.0.{name}": entry["G.entry_block.1.bias"] for name in ("exp_avg", "exp_avg_sq")}
        return {**shapes, **moments}

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Norms get the counter that files from before torch 0.4.1 lack."""
        repaired = dict(tensors)
        for key, tensor in tensors.items():
            norm, _, name = key.rpartition(".")
            if name == COUNTER:
                repaired[key] = tensor.long()
            elif name == "running_mean" and f"{norm}.{COUNTER}" not in tensors:
                repaired[f"{norm}.{COUNTER}"] = tensor.new_zeros(()).long()
        return repaired


def _spectral(name: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    rows, *rest = kernel
    columns = 1
    for length in rest:
        columns *= length
    vectors = {"bias": (rows,), "weight_u": (rows,), "weight_v": (columns,)}
    return {f"{name}.weight_orig": kernel, **{f"{name}.{key}": shape for key, shape in vectors.items()}}


def _conv_and_norm(template: str, place: int, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    vectors = ("weight", "bias", "running_mean", "running_var")
    norm = template.format(place + 1)
    return {
        **_spectral(template.format(place), kernel),
        **{f"{norm}.{key}": (kernel[0],) for key in vectors},
        f"{norm}.{COUNTER}": (),
    }


INGAN_FORMAT = InGANRelease()
"""What the models of this plugin import."""
