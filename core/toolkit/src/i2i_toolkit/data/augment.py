"""The training-time augmentation that the unpaired papers share: flip, enlarge, crop, scale to [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """The random part of one augmentation."""

    flip: bool
    top: int
    left: int


def draw(generator: np.random.Generator, *, enlarge_px: int, flip: bool) -> Draws:
    """Flip with probability 1/2 (where `flip` allows it), and a crop position in [0, enlarge_px]."""
    mirrored = bool(generator.integers(2))
    top, left = generator.integers(0, enlarge_px + 1, size=2).tolist()
    return Draws(flip=flip and mirrored, top=top, left=left)


def augment(picture: Image.Image, size: int, enlarge_px: int, draws: Draws) -> Float[Tensor, "3 {size} {size}"]:
    """`picture` mirrored, resized to a square of size + enlarge_px (bilinear), and cropped to size x size.

    Values in [-1, 1]. The deterministic core of the augmentation in the releases of CycleGAN and U-GAT-IT.
    """
    return cropped(enlarged(picture, size + enlarge_px, flip=draws.flip), size, draws)


def enlarged(picture: Image.Image, side: int, *, flip: bool) -> Image.Image:
    """The part of `augment` that does not depend on the crop, and may be kept."""
    upright = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture
    return upright.resize((side, side), Image.Resampling.BILINEAR)


def cropped(picture: Image.Image, size: int, draws: Draws) -> Float[Tensor, "3 {size} {size}"]:
    """The drawn square of an enlarged picture, as a tensor in [-1, 1]."""
    return to_tensor(picture.crop((draws.left, draws.top, draws.left + size, draws.top + size)))


def fitted(picture: Image.Image, size: int) -> Float[Tensor, "3 {size} {size}"]:
    """`picture` resized to size x size (bilinear), without augmentation; values in [-1, 1]."""
    return to_tensor(picture.resize((size, size), Image.Resampling.BILINEAR))


def to_tensor(picture: Image.Image) -> Float[Tensor, "3 h w"]:
    """An RGB picture as a tensor in [-1, 1]."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1)
    return ((pixels / 255 - 0.5) / 0.5).contiguous()
