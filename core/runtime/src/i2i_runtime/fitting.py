"""Bring a picture to a size that a graph takes, turn it into a tensor, and undo both on the result.

Resizing is Pillow's bilinear filter, which averages when it shrinks: it is what the papers' own test transforms use
(torchvision on PIL pictures), and it differs visibly from a bilinear filter without antialiasing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.errors import PictureError
from i2i_runtime.operations import Fit, SizeRule
from i2i_runtime.pixels import Pixels, resized

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture at the size of the graph, and where in it the picture itself lies (pixels); the rest is padding."""

    pixels: Pixels
    top: int
    left: int
    height: int
    width: int

    def crop(self, result: NDArray[np.generic]) -> NDArray[np.generic]:
        """The part of a result [h, w, ...] that belongs to the picture, at the result's own scale."""
        fed_height, fed_width = self.pixels.shape[:2]
        down, across = result.shape[0] / fed_height, result.shape[1] / fed_width
        top, left = round(self.top * down), round(self.left * across)
        height, width = max(1, round(self.height * down)), max(1, round(self.width * across))
        return result[top : top + height, left : left + width]


def fit(pixels: Pixels, rule: SizeRule, policy: Fit) -> Fitted:
    """Bring a picture to a size that `rule` accepts.

    Padding mirrors the picture where it is large enough for that, and repeats its border where it is not.
    `keep_aspect` pads on both sides; `native` pads at the bottom and on the right only, so that the picture keeps its
    place on the grid of a network that works at a fraction of the resolution.

    Raises PictureError when `native` meets a size that the rule cannot take.
    """
    if policy == "native":
        return _native(pixels, rule)
    if policy == "keep_aspect":
        return _keep_aspect(pixels, rule)
    return Fitted(_resize(pixels, rule.width, rule.height), 0, 0, rule.height, rule.width)


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    return resized(pixels, width, height, Image.Resampling.BILINEAR)


def _keep_aspect(pixels: Pixels, rule: SizeRule) -> Fitted:
    own_height, own_width = pixels.shape[:2]
    scale = min(rule.width / own_width, rule.height / own_height)
    # A strip of 1 x 4000 pixels would otherwise be scaled to width 0.
    width = min(rule.width, max(1, round(own_width * scale)))
    height = min(rule.height, max(1, round(own_height * scale)))
    top, left = (rule.height - height) // 2, (rule.width - width) // 2
    pixels = _resize(pixels, width, height)
    bottom, right = rule.height - height - top, rule.width - width - left
    return Fitted(pad(pixels, (top, bottom), (left, right)), top, left, height, width)


def _native(pixels: Pixels, rule: SizeRule) -> Fitted:
    height, width = pixels.shape[:2]
    padded_width = math.ceil(width / rule.multiple) * rule.multiple if rule.dynamic else width
    padded_height = math.ceil(height / rule.multiple) * rule.multiple if rule.dynamic else height
    if not rule.accepts(padded_height, padded_width):
        raise PictureError(
            found=f"a picture of {height}x{width} pixels (height x width)",
            expected=rule.describe(),
            fix="fit='resize' or fit='keep_aspect' bring it to the model's own size",
        )
    pixels = pad(pixels, (0, padded_height - height), (0, padded_width - width))
    return Fitted(pixels, 0, 0, height, width)


def pad(pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
    """Rows and columns added before and behind: mirrored where there are enough, else the border's repeated."""
    for axis, amounts in enumerate((rows, columns)):
        widths = [(0, 0)] * pixels.ndim
        widths[axis] = amounts
        if max(amounts) < pixels.shape[axis]:
            pixels = np.pad(pixels, widths, mode="reflect")
        else:
            pixels = np.pad(pixels, widths, mode="edge")
    return pixels


def _centre_and_scale(value_range: Range) -> tuple[np.float32, np.float32]:
    """`c` and `s` such that unit = value * s + c: (-1, 1) gives 0.5 and 0.5, as the official transforms write it."""
    low, high = value_range
    return np.float32(-low / (high - low)), np.float32(1 / (high - low))


def to_tensor(pixels: Pixels, value_range: Range = (-1.0, 1.0)) -> NDArray[np.float32]:
    """[h, w, channels] in 0..255 to float32 [channels, h, w] in `value_range`: (x / 255 - 0.5) / 0.5 for (-1, 1)."""
    centre, scale = _centre_and_scale(value_range)
    unit = pixels.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((unit - centre) / scale).transpose(2, 0, 1))


def to_unit(tensor: NDArray[np.float32], value_range: Range = (-1.0, 1.0)) -> NDArray[np.float32]:
    """float [channels, h, w] in `value_range` to float32 [h, w, channels] in [0, 1], clipped."""
    centre, scale = _centre_and_scale(value_range)
    unit = tensor.astype(np.float32).transpose(1, 2, 0) * scale + centre
    return np.clip(unit, np.float32(0), np.float32(1))


def to_picture(tensor: NDArray[np.float32], value_range: Range = (-1.0, 1.0)) -> NDArray[np.uint8]:
    """float [channels, h, w] in `value_range` to uint8 [h, w, channels]; halves round to even, the rest saturates."""
    return np.rint(to_unit(tensor, value_range) * np.float32(255)).astype(np.uint8)
