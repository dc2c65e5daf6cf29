"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `latest_net_G.pth`, `<epoch>_net_G_A.pth`.

Each file is the plain state dict of one generator, without hyper-parameters: it becomes a model of one direction.
`latest_net_G_A.pth` and `latest_net_G_B.pth`, read together, become a model of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_cyclegan.config import Channels, Config
from i2i_registry.errors import CheckpointError
from i2i_registry.model import Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence

if TYPE_CHECKING:
    from i2i_runtime.operations import Record

GENERATORS = {"G_A": "a_to_b", "G_B": "b_to_a"}
"""The release's name of a generator -> ours."""

_STALE = Drop("statistics that torch before 0.4 saved with InstanceNorm and never used")
_DISCRIMINATOR = Drop("discriminators are needed for training only")
_STATISTIC = "(?:running_mean|running_var|num_batches_tracked)"
_PLACE = r"(model\.\d+(?:\.conv_block\.\d+)?)"
_BLOCK_CONV = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.weight")
_PICTURE_CHANNELS = (1, 3)
_KERNEL_RANK = 4
_CONV_AFTER_DROPOUT = 6
"""Place of a block's second convolution; without dropout it is one less, and a norm stands here."""


def _key_map() -> KeyMap:
    lines: list[tuple[str, str | Drop]] = []
    for prefix, ours in (("", "a_to_b"), *((rf"{theirs}\.", ours) for theirs, ours in GENERATORS.items())):
        lines += [
            (rf"{prefix}{_PLACE}\.(weight|bias)", rf"{ours}.\1.\2"),
            (rf"{prefix}{_PLACE}\.{_STATISTIC}", _STALE),
        ]
    lines.append((rf"D_[AB]\.(?:model|net)\.\d+\.(?:weight|bias|{_STATISTIC})", _DISCRIMINATOR))
    return lines


class PyTorchRelease(OfficialFormat):
    """One generator, or two behind "G_A." and "G_B."; ResNets with instance norm."""

    source: ClassVar[str] = "junyanz/pytorch-CycleGAN-and-pix2pix"
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the pictures that they were trained on have theirs: check them before you publish.",
    )
    keys: ClassVar[KeyMap] = _key_map()

    def detect(self, shapes: Shapes) -> bool:
        """A first block at model.10, and a bias in front of the first norm, which itself has no weight.

        A batch-norm ResNet of the release has it the other way round; that one is pix2pix's.
        """
        own = _inside(shapes, _prefix(shapes))
        telling = {"model.1.weight", "model.1.bias", "model.10.conv_block.1.weight"}
        return telling <= own.keys() and "model.2.weight" not in own

    def infer_config(self, shapes: Shapes) -> Config:
        """Everything from shapes but the picture size, of which nothing tells: 256, and any other will do.

        Raises CheckpointError for the way back without the way there, which is a model only as a file alone.
        """
        prefix = _prefix(shapes)
        if prefix == "G_B.":
            raise CheckpointError(
                found="the generator G_B without G_A",
                expected="both of them, or one generator in a file alone",
                fix="i2i-registry import cyclegan latest_net_G_A.pth latest_net_G_B.pth --as ...",
            )
        own = _inside(shapes, prefix)
        places = [(int(match[1]), int(match[2])) for key in own if (match := _BLOCK_CONV.fullmatch(key))]
        res_blocks = max(1, len({number for number, _ in places}))
        last = f"model.{17 + res_blocks}.bias"
        channels, channels_a = own["model.1.weight"][:2]
        return Config(
            channels=channels,
            res_blocks=res_blocks,
            channels_a=_picture_channels("model.1.weight", channels_a),
            # A missing last layer is for the import to name.
            channels_b=_picture_channels(last, own[last][0]) if last in own else 3,
            dropout=any(
                place == _CONV_AFTER_DROPOUT and len(own[f"model.{number}.conv_block.{place}.weight"]) == _KERNEL_RANK
                for number, place in places
            ),
            directions="both" if any(key.startswith("G_B.") for key in shapes) else "a_to_b",
        )

    def example(self, config: Record) -> Shapes:
        """The state dict of one generator, or those of both together, built from the release's rules."""
        settings = cast("Config", config)
        forth = _generator_example(settings, settings.channels_a, settings.channels_b)
        if settings.directions == "a_to_b":
            return forth
        back = _generator_example(settings, settings.channels_b, settings.channels_a)
        return {f"G_A.{key}": shape for key, shape in forth.items()} | {
            f"G_B.{key}": shape for key, shape in back.items()
        }


def _prefix(shapes: Iterable[str]) -> str:
    """What the generator's keys begin with; the first where there are two."""
    return next((f"{name}." for name in GENERATORS if any(key.startswith(f"{name}.") for key in shapes)), "")


def _inside(shapes: Shapes, prefix: str) -> Shapes:
    return {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}


def _picture_channels(key: str, count: int) -> Channels:
    if count not in _PICTURE_CHANNELS:
        raise CheckpointError(f"{key} is for pictures of {count} channels", expected="1 (grey) or 3 (colour)")
    return count


def _generator_example(config: Config, channels_in: int, channels_out: int) -> Shapes:
    c, d = config.channels, 4 * config.channels
    first_up, second = 10 + config.res_blocks, _CONV_AFTER_DROPOUT if config.dropout else _CONV_AFTER_DROPOUT - 1
    shapes: dict[str, tuple[int, ...]] = {}
    for place, kernel, width in (
        ("1", (c, channels_in, 7, 7), c),
        ("4", (2 * c, c, 3, 3), 2 * c),
        ("7", (d, 2 * c, 3, 3), d),
        *((f"{n}.conv_block.{place}", (d, d, 3, 3), d) for n in range(10, first_up) for place in (1, second)),
        (f"{first_up}", (d, 2 * c, 3, 3), 2 * c),
        (f"{first_up + 3}", (2 * c, c, 3, 3), c),
        (f"{first_up + 7}", (channels_out, c, 7, 7), channels_out),
    ):
        shapes |= {f"model.{place}.weight": kernel, f"model.{place}.bias": (width,)}
    return shapes


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
