"""pix2pix's unet_256 in plain eager torch, written as the authors' release has it.

Written from the facts of junyanz/pytorch-CycleGAN-and-pix2pix (module names, shapes, order of operations). Both sides
run in evaluation mode, the bundle's "deterministic" behaviour: it can be compared number by number, and it is torch's
faster mode. The bundle's graph computes what the other behaviour needs all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from . import Inference, Paper, Size, copy_weights, images

if TYPE_CHECKING:
    from i2i_plugin_pix2pix.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_runtime.records import Record

SIDE = {"full": 256, "small": 64}
LEVELS = {"full": 8, "small": 6}
CHANNELS = {"full": 64, "small": 8}
FIRST_DROPOUT = 5
"""level; the last one with dropout is the last but one"""


class Level(nn.Module):
    """One level of the U-Net, with all that lies inside."""

    def __init__(self, width_in: int, width: int, inside: Level | None, *, dropout: bool = False) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(width_in, width, 4, 2, 1, bias=False)]
        middle: list[nn.Module] = [nn.BatchNorm2d(width), inside] if inside else []
        wide = 2 * width if inside else width
        up: list[nn.Module] = [nn.ReLU(inplace=True), nn.ConvTranspose2d(wide, width_in, 4, 2, 1, bias=False)]
        last: list[nn.Module] = [nn.BatchNorm2d(width_in)]
        if dropout:
            last.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*down, *middle, *up, *last)

    def forward(self, x: Tensor) -> Tensor:
        """Return what came in beside this level's result."""
        return torch.cat([x, self.model(x)], 1)


class Outermost(nn.Module):
    """The level of the image."""

    def __init__(self, channels: int, inside: Level) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(2 * channels, 3, 4, 2, 1)
        self.model = nn.Sequential(
            nn.Conv2d(3, channels, 4, 2, 1, bias=False), inside, nn.ReLU(inplace=True), up, nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the translated image."""
        return self.model(x)


class UnetGenerator(nn.Module):
    """unet_256 (or as many levels as asked for) with batch norm and dropout."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        widths = [channels * min(2**level, 8) for level in range(levels)]
        inside = Level(widths[-2], widths[-1], None)
        for level in reversed(range(2, levels)):
            inside = Level(widths[level - 2], widths[level - 1], inside, dropout=level >= FIRST_DROPOUT)
        self.model = Outermost(channels, inside)

    def forward(self, x: Tensor) -> Tensor:
        """Return the translated image."""
        return self.model(x)


# --- Ours -------------------------------------------------------------------------------------------------------------


def our_config(size: Size) -> Config:
    """Return the release's default, or a small one."""
    from i2i_plugin_pix2pix.config import Config

    return Config(image_size=SIDE[size], depth=LEVELS[size], channels=CHANNELS[size])


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the weights of the generator."""
    from i2i_plugin_pix2pix.model import Pix2Pix
    from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT

    model = Pix2Pix(our_config(size))
    state = {f"G.{key}": value for key, value in eager.state_dict().items()}
    copy_weights(state, JUNYANZ_FORMAT.table(model.config), model.networks)
    return model


def behaviour(size: Size) -> dict[str, Tensor]:
    """Deterministic, and the noise that the graph takes and then does not use."""
    from i2i_toolkit.networks.generators import TEST_TIME_BEHAVIOURS

    count = sum(channels * height * width for channels, height, width in our_config(size).dropout_shapes)
    return {"behaviour": torch.tensor([TEST_TIME_BEHAVIOURS.index("deterministic")]), "noise": torch.zeros(1, count)}


PAPER = Paper(
    title="pix2pix unet_256",
    inference=Inference(
        target=1.8,
        inputs=lambda size: images(["image"], 1, SIDE[size]),
        eager=lambda size: UnetGenerator(CHANNELS[size], LEVELS[size]),
        ours=our_model,
        also=behaviour,
    ),
)
