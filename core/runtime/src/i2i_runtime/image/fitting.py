"""Bring an image to a size that a graph takes, turn it into a tensor, and undo both on the result.

How an image is resampled, and how it comes to a multiple, a record says (`Resizing`): as the paper's own code does it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import ImageError
from i2i_runtime.image.pixels import Pixels
from i2i_runtime.image.resampling import Levels, resampled
from i2i_runtime.image.resizing import Fit, Resizing, SizeRule
from i2i_runtime.records import Range

_ALL = (0.0, 0.0, 1.0, 1.0)
"""the whole of an image"""


@dataclass(frozen=True, slots=True)
class ResizedImage:
    """An image at the size of the graph, and where in it the image itself lies (pixels); the rest is padding."""

    pixels: Levels
    top: int
    left: int
    height: int
    width: int
    seen: tuple[float, float, float, float]
    """the part of the given image that it is: top, left, bottom and right of a box, as shares of the sides"""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that the graph sees."""
        height, width = self.pixels.shape[:2]
        return height, width

    def crop(self, result: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the part of a result [h, w, ...] that belongs to the image, at the result's own scale."""
        fed_height, fed_width = self.pixels.shape[:2]
        down, across = result.shape[0] / fed_height, result.shape[1] / fed_width
        top, left = round(self.top * down), round(self.left * across)
        height, width = max(1, round(self.height * down)), max(1, round(self.width * across))
        return result[top : top + height, left : left + width]


def fit_image(pixels: Pixels, how: Resizing, policy: Fit) -> ResizedImage:
    """Bring an image to a size that the input accepts.

    Padding mirrors the image where it is large enough for that, and repeats its border where it is not. It lies at
    the bottom and on the right unless the input says otherwise, so that the image keeps its place on the grid of a
    network that works at a fraction of the resolution; around images for a graph of one size it lies on both sides.

    Raises ImageError when `native`, or a cut, meets a size that the rule cannot take.
    """
    if policy == "native":
        return _in_multiples(pixels, how)
    if policy != "keep_aspect":
        height, width = how.size.height, how.size.width
        return ResizedImage(resampled(pixels, width, height, how.resize), 0, 0, height, width, _ALL)
    if not how.size.dynamic:
        return centred(pixels, how)
    return _in_multiples(_inside(pixels, how), how, how.size.minimum)


def centred(pixels: Pixels, how: Resizing) -> ResizedImage:
    """Scaled to fit inside the model's own size, and padded to that on both sides."""
    scaled = _inside(pixels, how)
    height, width = scaled.shape[:2]
    rows, columns = _halves(how.size.height - height), _halves(how.size.width - width)
    return ResizedImage(pad(scaled, rows, columns), rows[0], columns[0], height, width, _ALL)


def _inside(pixels: Pixels, how: Resizing) -> Levels:
    """Return the image as large as fits inside the model's own size, in its own form."""
    own_height, own_width = pixels.shape[:2]
    rule = how.size
    scale = min(rule.width / own_width, rule.height / own_height)
    # A strip of 1 x 4000 pixels would otherwise be scaled to width 0.
    width = min(rule.width, max(1, round(own_width * scale)))
    height = min(rule.height, max(1, round(own_height * scale)))
    return resampled(pixels, width, height, how.resize)


def _in_multiples(pixels: Levels, how: Resizing, minimum: int = 1) -> ResizedImage:
    """Pad or cut to multiples; smaller images than `minimum` are padded up to it."""
    height, width = pixels.shape[:2]
    rule, cut = how.size, how.to_multiple == "cut"
    wanted = [_multiple(side, rule, minimum, cut=cut) for side in (height, width)]
    if not rule.accepts(*wanted):
        raise ImageError(
            found=f"an image of {height}x{width} pixels (height x width)",
            expected=rule.describe(),
            fix="fit='resize' or fit='keep_aspect' bring it to the model's own size",
        )
    rows, columns = (
        _halves(abs(side - own)) if how.spare == "both" else (0, abs(side - own))
        for side, own in zip(wanted, (height, width), strict=True)
    )
    if not cut:
        return ResizedImage(pad(pixels, rows, columns), rows[0], columns[0], height, width, _ALL)
    top, left, bottom, right = rows[0], columns[0], height - rows[1], width - columns[1]
    kept = np.ascontiguousarray(pixels[top:bottom, left:right])
    return ResizedImage(kept, 0, 0, wanted[0], wanted[1], (top / height, left / width, bottom / height, right / width))


def _multiple(side: int, rule: SizeRule, minimum: int, *, cut: bool) -> int:
    """Return the multiple below or above a side; only of rules that leave a choice."""
    if not rule.dynamic:
        return side
    if cut:
        return side // rule.multiple * rule.multiple
    return math.ceil(max(side, minimum) / rule.multiple) * rule.multiple


def _halves(length: int) -> tuple[int, int]:
    return length // 2, length - length // 2


def pad(pixels: Levels, rows: tuple[int, int], columns: tuple[int, int]) -> Levels:
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


def image_to_tensor(pixels: Levels, value_range: Range = (-1.0, 1.0)) -> NDArray[np.float32]:
    """[h, w, channels] in 0..255 to float32 [channels, h, w] in `value_range`: (x / 255 - 0.5) / 0.5 for (-1, 1)."""
    centre, scale = _centre_and_scale(value_range)
    unit = pixels.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((unit - centre) / scale).transpose(2, 0, 1))


def to_unit(tensor: NDArray[np.float32], value_range: Range = (-1.0, 1.0)) -> NDArray[np.float32]:
    """float [channels, h, w] in `value_range` to float32 [h, w, channels] in [0, 1], clipped."""
    centre, scale = _centre_and_scale(value_range)
    unit = tensor.astype(np.float32).transpose(1, 2, 0) * scale + centre
    return np.clip(unit, np.float32(0), np.float32(1))


def tensor_to_image(tensor: NDArray[np.float32], value_range: Range = (-1.0, 1.0)) -> NDArray[np.uint8]:
    """float [channels, h, w] in `value_range` to uint8 [h, w, channels]; halves round to even, the rest saturates."""
    return np.rint(to_unit(tensor, value_range) * np.float32(255)).astype(np.uint8)
