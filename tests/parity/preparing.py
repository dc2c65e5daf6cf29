"""Pictures in and out, as recorded from the releases of pix2pix, CycleGAN and BicycleGAN, which share that code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from i2i_runtime.fitting import to_picture
from i2i_runtime.operations import BICUBIC
from i2i_toolkit.data.preparation import Channels, Draws, Mode, Preparation

from .judging import Row
from .recording import Recording

TRANSFORM = 1e-6
EXACT = 0.0
ONE_LEVEL = 1.0
"""the releases cut fractions of a level off, the runtime rounds"""


class Variant(BaseModel):
    """One way of preparing the recorded pair, and what was drawn for it."""

    preprocess: Mode
    load_size: int
    crop_size: int
    crop_pos: tuple[int, int]
    flip: bool
    no_flip: bool = False
    gray_A: bool = False  # noqa: N815 - the releases' name


def check_pictures(recording: Recording, variants: Sequence[Variant]) -> Iterator[Row]:
    """The transforms of training, and the saved picture."""
    joined = Image.fromarray(recording.tensors["input/image"].numpy())
    half = joined.width // 2
    pictures = {"A": joined.crop((0, 0, half, joined.height)), "B": joined.crop((half, 0, joined.width, joined.height))}
    for number, variant in enumerate(variants):
        preparation = Preparation(
            variant.preprocess, variant.load_size, variant.crop_size, BICUBIC, flip=not variant.no_flip
        )
        left, top = variant.crop_pos
        for name, picture in pictures.items():
            channels: Channels = 1 if variant.gray_A and name == "A" else 3
            found = preparation.cut(preparation.scaled(picture, channels), Draws(flip=variant.flip, top=top, left=left))
            yield recording.output(f"{number}_{variant.preprocess}/{name}", found, TRANSFORM)
    generated = recording.tensors["input/generated"].numpy()
    cut = ((generated.transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
    yield recording.output("tensor2im", torch.from_numpy(cut), EXACT)
    rounded = torch.from_numpy(to_picture(generated))
    yield recording.output("tensor2im", rounded, ONE_LEVEL, by="i2i_runtime, which rounds")
