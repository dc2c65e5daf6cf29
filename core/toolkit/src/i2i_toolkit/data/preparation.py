"""How papers bring training images to size: scale, crop, mirror, each with PIL.

The five modes are those of pix2pix, CycleGAN and BicycleGAN (`--preprocess`); U-GAT-IT has the first of them. The
random part is drawn apart from what it does, so that two images of a pair can share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from pydantic import NonNegativeInt
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_runtime.image.pixels import RGB, Pixels, of_count, of_image
from i2i_runtime.image.resampling import Levels, resampled
from i2i_runtime.image.resizing import BILINEAR, Resize
from i2i_runtime.records import Record

Mode = Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"]
"""
resize_and_crop       to a square of load_px, then a square of crop_px is cut out
crop                  the square of crop_px is cut out of the image as it is
scale_width           to load_px in width, the height in proportion and at least crop_px; not cropped
scale_width_and_crop  the same, then cropped
none                  each side to the nearest multiple of 4
"""

ChannelCount = int
"""How many channels samples have: 3 for colour, 1 for grey, or what the images have themselves."""

ROUNDING = 4
"""Sides become multiples of this in mode "none": what generators that downsample twice return in the same size."""


@dataclass(frozen=True, slots=True)
class Draws:
    """The random part of one preparation."""

    flip: bool
    top: int
    left: int


@dataclass(frozen=True, slots=True)
class Preparation:
    """One way of bringing images to size; lengths in pixels."""

    mode: Mode
    load_px: int
    crop_px: int
    resize: Resize = BILINEAR
    """how: as `ImageInput.resize` of the operation says, so that running sees what training saw"""
    flip: bool = True
    """whether images may be mirrored"""
    flip_first: bool = False
    """whether images are mirrored before they are cropped (U-GAT-IT), or only what was cut out"""
    centre_px: int | None = None
    """side of the square that is cut out of the middle before anything else (178 for CelebA); None: all is used"""

    @property
    def is_square(self) -> bool:
        """Whether every image that is large enough comes out as crop_px x crop_px."""
        return "crop" in self.mode

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of an image before it is cropped."""
        if "resize" in self.mode:
            return self.load_px, self.load_px
        if "scale_width" in self.mode:
            if width == self.load_px and height >= self.crop_px:
                return width, height
            return self.load_px, int(max(self.load_px * height / width, self.crop_px))
        if self.mode == "none":
            # Half to even, as Python rounds; a side never vanishes.
            return max(round(width / ROUNDING), 1) * ROUNDING, max(round(height / ROUNDING), 1) * ROUNDING
        return width, height

    def check(self, path: Path, image: Pixels) -> None:
        """Raise LayoutError when the image read from `path` is too small for a crop."""
        width, height = width_and_height(image)
        if self.centre_px is not None and min(width, height) < self.centre_px:
            raise LayoutError(
                found=f"{path} has {width}x{height} pixels",
                expected=f"at least {self.centre_px}x{self.centre_px}, which is what is cut out of the middle",
                fix="leave the small images out, or cut out less",
            )
        width, height = self.scaled_size(width, height)
        if self.is_square and min(width, height) < self.crop_px:
            raise LayoutError(
                found=f"{path} gives {width}x{height} pixels in the mode {self.mode!r}",
                expected=f"at least {self.crop_px}x{self.crop_px}, which is what is cut out",
                fix="use the mode 'resize_and_crop', or leave the small images out",
            )

    def draw(self, generator: np.random.Generator, width: int, height: int) -> Draws:
        """Return a crop position for an image of this size, and whether it is mirrored (half of them are)."""
        scaled_width, scaled_height = self.scaled_size(width, height)
        free = {"left": max(0, scaled_width - self.crop_px), "top": max(0, scaled_height - self.crop_px), "flip": 1}
        order = ("flip", "top", "left") if self.flip_first else ("left", "top", "flip")
        drawn = {name: int(generator.integers(free[name] + 1)) for name in order}
        return Draws(flip=bool(drawn["flip"]) and self.flip, top=drawn["top"], left=drawn["left"])

    def scaled(self, image: Image.Image | Pixels, channels: ChannelCount = RGB) -> Levels:
        """Return the part that draws nothing, and may be kept: grey when there is one channel, then resized."""
        coloured = _with_channels(image, channels)
        if self.centre_px is not None:
            coloured = _middle(coloured, self.centre_px)
        size = self.scaled_size(*width_and_height(coloured))
        return coloured if size == width_and_height(coloured) else resampled(coloured, *size, self.resize)

    def cut(self, scaled: Levels, draws: Draws) -> Float[Tensor, "c h w"]:
        """Return the drawn part of a scaled image, mirrored if so drawn; values in [-1, 1].

        Where one side is shorter than the crop, the missing part is black (-1), as in the releases.
        """
        mirrored = draws.flip and self.flip
        if mirrored and self.flip_first:
            # PIL's resizing is symmetric to the bit, so that what was scaled may be kept for both sides.
            scaled = scaled[:, ::-1]
        if self.is_square and max(scaled.shape[:2]) > self.crop_px:
            scaled = _window(scaled, draws.top, draws.left, self.crop_px)
        if mirrored and not self.flip_first:
            scaled = scaled[:, ::-1]
        return tensor_of(scaled)

    def fitted(self, image: Image.Image | Pixels, channels: ChannelCount = RGB) -> Float[Tensor, "c h w"]:
        """`image` resized to crop_px x crop_px without any draw, as at test time; values in [-1, 1]."""
        side, coloured = self.crop_px, _with_channels(image, channels)
        if self.centre_px is not None:
            coloured = _middle(coloured, self.centre_px)
        return tensor_of(resampled(coloured, side, side, self.resize))


class CropOptions(Record):
    """Options of how an image comes to the model's size: scaled to a little more, cropped and mirrored at random."""

    preprocess: Literal["resize_and_crop", "crop", "scale_width_and_crop"] = "resize_and_crop"
    enlarge_px: NonNegativeInt = 30
    """images are resized to this much more than the model's size, then cropped at random"""
    flip: bool = True
    """mirror every other sample; switch it off where left and right mean something"""

    def preparation(self, image_size: int, resize: Resize) -> Preparation:
        """Say how images come to `image_size` pixels a side."""
        return Preparation(self.preprocess, image_size + self.enlarge_px, image_size, resize, self.flip)


def _with_channels(image: Image.Image | Pixels, channels: ChannelCount) -> Pixels:
    if isinstance(image, Image.Image):
        return of_image(image, channels)
    return of_count(image, channels, "the image")


def _middle(pixels: Pixels, side: int) -> Pixels:
    """Return the square in the middle.

    What an odd number of pixels leaves over is rounded half to even, as in torchvision.
    """
    top, left = (round((length - side) / 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def _window(pixels: Levels, top: int, left: int, side: int) -> Levels:
    """Return a square cut out of an image; what lies beyond its border is black."""
    part = pixels[top : top + side, left : left + side]
    missing = (side - part.shape[0], side - part.shape[1])
    return np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else part


def width_and_height(pixels: Levels) -> tuple[int, int]:
    """Width and height, as Pillow orders them."""
    height, width = pixels.shape[:2]
    return width, height


def tensor_of(image: Image.Image | Levels) -> Float[Tensor, "c h w"]:
    """Return a grey or RGB image, or levels [h, w, c], as a tensor in [-1, 1]."""
    levels = np.array(image, dtype=np.float32)
    pixels = torch.from_numpy(levels.reshape(*levels.shape[:2], -1)).permute(2, 0, 1)
    return ((pixels / 255 - 0.5) / 0.5).contiguous()
