"""Checkpoints of junyanz/pytorch-CycleGAN-and-pix2pix: `<epoch>_net_G.pth`, one generator in a plain state dict.

The release keeps its hyper-parameters in a text file beside it, so all of them are read off the tensors here. Its
CycleGAN saves ResNets in the same form; what tells them apart is the norm, batch here and instance there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, cast

from i2i_plugin_pix2pix.config import FIRST_DROPOUT_LEVEL, Channels, Config, Norm
from i2i_registry.errors import CheckpointError
from i2i_registry.model import Drop, KeyMap, OfficialFormat, Shapes
from i2i_runtime.manifest import Licence

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_runtime.operations import Record

MOST_LEVELS = 12
"""U-Net levels that the key map counts to: pictures of 4096 pixels a side."""

UNET_FIRST = "model.model.0.weight"
RESNET_FIRST = "model.1.weight"
RESNET_FIRST_NORM = "model.2.running_mean"

COUNTER = "num_batches_tracked"
STATISTICS = ("running_mean", "running_var", COUNTER)
UNUSED = " (InstanceNorm)"
"""What `repair` adds to the key of a statistic that no norm uses."""

_CONV = "(weight|bias)"
_NORM = "(weight|bias|running_mean|running_var|num_batches_tracked)"
_BLOCK_CONV = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.weight")
_PICTURE_CHANNELS = (1, 3)
_KERNEL_RANK = 4


def unet_level(level: int) -> str:
    """Where the release keeps U-Net level 2, 3, ...: each inside the one above."""
    return "model.model.1." + "model.3." * (level - 2) + "model."


def _key_map() -> KeyMap:
    lines: list[tuple[str, str | Drop]] = [
        (r".+ \(InstanceNorm\)", Drop("statistics that torch before 0.4 saved with InstanceNorm and never used")),
        (rf"model\.model\.0\.{_CONV}", r"generator.down.0.conv.\1"),
        (rf"model\.model\.3\.{_CONV}", r"generator.to_image.\1"),
    ]
    for level in range(2, MOST_LEVELS + 1):
        inside = re.escape(unet_level(level))
        # The way up stands behind the levels inside, or, at the bottom, where they would be.
        lines += [
            (rf"{inside}1\.{_CONV}", rf"generator.down.{level - 1}.conv.\1"),
            (rf"{inside}2\.{_NORM}", rf"generator.down.{level - 1}.norm.\1"),
            (rf"{inside}[35]\.{_CONV}", rf"generator.up.{level - 2}.conv.\1"),
            (rf"{inside}[46]\.{_NORM}", rf"generator.up.{level - 2}.norm.\1"),
        ]
    lines.append((rf"(model\.\d+(?:\.conv_block\.\d+)?)\.{_NORM}", r"generator.\1.\2"))
    return lines


class PyTorchRelease(OfficialFormat):
    """One state dict of a U-Net, or of a ResNet with batch norm; no hyper-parameters."""

    source: ClassVar[str] = "junyanz/pytorch-CycleGAN-and-pix2pix"
    licence: ClassVar[Licence] = Licence(
        spdx="BSD-2-Clause",
        notes="The release's code is under the two-clause BSD licence. Its weights come without terms of their own, "
        "and the pictures that they were trained on have theirs: check them before you publish.",
    )
    keys: ClassVar[KeyMap] = _key_map()

    def detect(self, shapes: Shapes) -> bool:
        """A U-Net that starts at a picture (BicycleGAN's starts at a picture and a latent), or a batch-norm ResNet."""
        if UNET_FIRST in shapes:
            return shapes[UNET_FIRST][1] in _PICTURE_CHANNELS and "model.model.1.model.1.weight" in shapes
        return RESNET_FIRST_NORM in shapes and RESNET_FIRST in shapes and "model.1.bias" not in shapes

    def infer_config(self, shapes: Shapes) -> Config:
        """Everything from shapes. What no tensor shows is the release's default for pix2pix.

        A U-Net does not tell whether it had dropout (by default it has), nor a ResNet its picture size (256).
        """
        return _unet_config(shapes) if UNET_FIRST in shapes else _resnet_config(shapes)

    def example(self, config: Record) -> Shapes:
        """The generator's state dict, built from the release's rules."""
        settings = cast("Config", config)
        return _unet_example(settings) if settings.generator == "unet" else _resnet_example(settings)

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Batch norms get the counter that old files lack; statistics of instance norms are marked as unused."""
        repaired: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            norm, _, name = key.rpartition(".")
            is_unused = name in STATISTICS and f"{norm}.weight" not in tensors
            repaired[f"{key}{UNUSED}" if is_unused else key] = tensor.long() if name == COUNTER else tensor
            if name == "running_mean" and not is_unused and f"{norm}.{COUNTER}" not in tensors:
                repaired[f"{norm}.{COUNTER}"] = tensor.new_zeros(()).long()
        return repaired


def _unet_config(shapes: Shapes) -> Config:
    depth = 1
    while f"{unet_level(depth + 1)}1.weight" in shapes:
        depth += 1
    if not FIRST_DROPOUT_LEVEL <= depth <= MOST_LEVELS:
        raise CheckpointError(
            found=f"a U-Net of {depth} levels",
            expected=f"{FIRST_DROPOUT_LEVEL} to {MOST_LEVELS}",
            fix="the checkpoint is not of the release, or was changed",
        )
    channels, input_channels = shapes[UNET_FIRST][:2]
    norm: Norm = "batch" if f"{unet_level(2)}2.weight" in shapes else "instance"
    return Config(
        image_size=2**depth,
        depth=depth,
        channels=channels,
        input_channels=_picture_channels(UNET_FIRST, input_channels),
        output_channels=_output_channels(shapes, "model.model.3.bias"),
        norm=norm,
    )


def _resnet_config(shapes: Shapes) -> Config:
    places = [(int(match[1]), int(match[2])) for key in shapes if (match := _BLOCK_CONV.fullmatch(key))]
    # Dropout has a place of its own in a block, behind which the second convolution stands at 6. Without dropout
    # there is a norm: the kernel's rank tells.
    dropout = any(
        place == 6 and len(shapes[f"model.{number}.conv_block.6.weight"]) == _KERNEL_RANK  # noqa: PLR2004
        for number, place in places
    )
    depth = max(1, len({number for number, _ in places}))
    channels, input_channels = shapes[RESNET_FIRST][:2]
    return Config(
        generator="resnet",
        depth=depth,
        channels=channels,
        input_channels=_picture_channels(RESNET_FIRST, input_channels),
        output_channels=_output_channels(shapes, f"model.{17 + depth}.bias"),
        dropout=dropout,
    )


def _output_channels(shapes: Shapes, last_bias: str) -> Channels:
    """Told by the bias of the last layer; 3 where it is missing, which the import then says."""
    return _picture_channels(last_bias, shapes[last_bias][0]) if last_bias in shapes else 3


def _picture_channels(key: str, count: int) -> Channels:
    if count not in _PICTURE_CHANNELS:
        raise CheckpointError(
            found=f"{key} is for pictures of {count} channels",
            expected="1 (grey) or 3 (colour); the release's colourisation works on Lab channels, which is not built in",
        )
    return count


# --- What the release would save --------------------------------------------------------------------------------------


def _unet_example(config: Config) -> Shapes:
    widths = [config.input_channels, *(config.level_channels(level) for level in range(1, config.depth + 1))]
    biased, top, out = config.norm == "instance", widths[1], config.output_channels
    shapes = {**_conv("model.model.0", (top, widths[0], 4, 4), top * biased)}
    for level in range(2, config.depth + 1):
        inside, narrow, wide = unet_level(level), widths[level - 1], widths[level]
        bottom = level == config.depth
        up, crossing = (3, 1) if bottom else (5, 2)
        shapes |= _conv(f"{inside}1", (wide, narrow, 4, 4), wide * biased)
        shapes |= {} if bottom else _norm(f"{inside}2", wide, config.norm)
        shapes |= _conv(f"{inside}{up}", (crossing * wide, narrow, 4, 4), narrow * biased)
        shapes |= _norm(f"{inside}{up + 1}", narrow, config.norm)
    return {**shapes, **_conv("model.model.3", (2 * top, out, 4, 4), out)}


def _resnet_example(config: Config) -> Shapes:
    c, d, out = config.channels, 4 * config.channels, config.output_channels
    first_up, second = 10 + config.depth, 6 if config.dropout else 5
    blocks = [(f"model.{10 + number}.conv_block.", place) for number in range(config.depth) for place in (1, second)]
    shapes: Shapes = {}
    for inside, place, kernel, width in (
        ("model.", 1, (c, config.input_channels, 7, 7), c),
        ("model.", 4, (2 * c, c, 3, 3), 2 * c),
        ("model.", 7, (d, 2 * c, 3, 3), d),
        *((inside, place, (d, d, 3, 3), d) for inside, place in blocks),
        ("model.", first_up, (d, 2 * c, 3, 3), 2 * c),
        ("model.", first_up + 3, (2 * c, c, 3, 3), c),
    ):
        shapes = {
            **shapes,
            **_conv(f"{inside}{place}", kernel, width * (config.norm == "instance")),
            **_norm(f"{inside}{place + 1}", width, config.norm),
        }
    return {**shapes, **_conv(f"model.{first_up + 7}", (out, c, 7, 7), out)}


def _conv(name: str, kernel: tuple[int, ...], bias: int = 0) -> Shapes:
    """A kernel, and a bias of that length where it is not 0."""
    weight: Shapes = {f"{name}.weight": kernel}
    return {**weight, f"{name}.bias": (bias,)} if bias else weight


def _norm(name: str, channels: int, norm: Norm) -> Shapes:
    if norm == "instance":
        return {}
    vectors = {f"{name}.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


JUNYANZ_FORMAT = PyTorchRelease()
"""What the models of this plugin import."""
