"""Images that come in pairs, in the layouts people have them in.

    root/train/0001.jpg                      A and B side by side in one image (A is the left half)
    root/A/train/0001.png  root/B/train/...  or two folders, paired by the files' names
    root/train/A/0001.png  root/train/B/...  the same with the folders the other way round
    root/A/0001.png        root/B/...        the same without splits

Beside train/ there may be val/ and test/: pairs that are shown while training, and not learned from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource
from i2i_runtime.errors import ImageError
from i2i_runtime.image.colour_profiles import Tell
from i2i_runtime.image.pixels import GREY, RGB, Pixels
from i2i_runtime.image.reading import read_pixels
from i2i_runtime.image.resampling import Levels
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.domains import DomainsLayout
from i2i_toolkit.data.folders import (
    DECODED_AT_START,
    silent,
    unreadable_in_words,
    warn_left_out,
    warn_passed_over,
    warn_told,
)
from i2i_toolkit.data.order import shuffled
from i2i_toolkit.data.paired_layout import PairFiles, find_pairs
from i2i_toolkit.data.preparation import ChannelCount, Preparation, width_and_height
from i2i_toolkit.data.segmented import SegmentedLayout
from i2i_toolkit.seeds import derive

Direction = Literal["a_to_b", "b_to_a"]
"""Which image of a pair is translated into which."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """The pairs of one split that can be read, and a sentence for each that cannot."""

    readable: tuple[PairFiles, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class PairedLayout(DataLayout):
    """Images that come in pairs: side by side in train/, or under one name in A/train/ and B/train/.

    Samples are {"input": float32 [c, h, w], "target": float32 [k, h, w]} in [-1, 1]; both come from one pair of images
    and share the crop and the flip. Order and draws are functions of the seed and the position.
    """

    preparation: Preparation
    """how images are scaled, cropped and mirrored"""
    direction: Direction = "a_to_b"
    """which image of a pair is the input"""
    input_channels: ChannelCount = 3
    """3, 1 for grey, or the number that the images have themselves"""
    target_channels: ChannelCount = 3
    """the same of the targets"""
    cache_bytes: int = 1 << 30
    """how much memory scaled pairs may take; sets that fit are decoded once"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether the first image of train/ is a pair. Pairs may lie at any depth, but not in folders of domains."""
        if any(layout.recognises(root) for layout in (DomainsLayout, SegmentedLayout)):
            return False
        try:
            pairs = find_pairs(root)["train"]
            return bool(pairs) and bool(read_pair(pairs[0]))
        except (LayoutError, ImageError):
            return False

    def open(self, root: Path, seed: int) -> DataSource:
        """Open the pairs below `root`.

        Raises LayoutError when the folders are not there, hold no pairs, or hold images that are no pairs.
        """
        return PairedFolders(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw outlines of discs beside the discs in colour, in train/ and test/."""
        write_paired_example(root, size=self.preparation.crop_px)


class PairedFolders:
    """Pairs of images in folders: what `PairedLayout.open` gives."""

    def __init__(self, root: Path, layout: PairedLayout, seed: int) -> None:
        self.preparation = layout.preparation
        self._swapped = layout.direction == "b_to_a"
        self._channels: tuple[ChannelCount, ChannelCount] = (layout.input_channels, layout.target_channels)
        self._seed = seed
        splits = find_pairs(root)
        self._splits = {split: _check(pairs, self.preparation, self._of_files) for split, pairs in splits.items()}
        _need_one(root, self._train, self._splits["train"].unreadable)
        warn_passed_over(root)
        warn_left_out("pairs", [sentence for split in self._splits.values() for sentence in split.unreadable])
        self._cache: ImageCache[tuple[Levels, Levels]] = ImageCache(layout.cache_bytes)

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`: one pair, augmented."""
        pair = self._train[shuffled(self._seed, "pairs", len(self._train), position)]
        images = self._scaled(pair)
        generator = np.random.default_rng(derive(self._seed, "augment", position))
        # Scaled sizes are what they are scaled to, so drawing for them is drawing for the image itself.
        draws = self.preparation.draw(generator, *width_and_height(images[0]))
        source, target = (self.preparation.cut(image, draws) for image in images)
        return {"input": source, "target": target}

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first `count` pairs of val/, else of test/, else of train/, as squares of crop_px in [-1, 1]."""
        shown = next(
            split.readable for name in ("val", "test", "train") if (split := self._splits.get(name)) and split.readable
        )
        rows = [self._ordered(*read_pair(pair, self._of_files)) for pair in shown[:count]]
        source, target = (
            torch.stack([self.preparation.fitted(row[which], self._channels[which]) for row in rows])
            for which in (0, 1)
        )
        return {"input": source, "target": target}

    def describe(self) -> Mapping[str, int]:
        """Pairs per split, and how many were left out as unreadable."""
        counts = {name: len(split.readable) for name, split in self._splits.items()}
        return {**counts, "unreadable": sum(len(split.unreadable) for split in self._splits.values())}

    @property
    def _train(self) -> tuple[PairFiles, ...]:
        return self._splits["train"].readable

    @property
    def _of_files(self) -> tuple[ChannelCount, ChannelCount]:
        """Channels of A and B."""
        first, second = self._channels
        return (second, first) if self._swapped else (first, second)

    def _ordered(self, a: Pixels, b: Pixels) -> tuple[Pixels, Pixels]:
        return (b, a) if self._swapped else (a, b)

    def _scaled(self, pair: PairFiles) -> tuple[Levels, Levels]:
        """Input and target of a pair, before they are cropped."""

        def decode() -> tuple[Levels, Levels]:
            source, target = self._ordered(*_read_again(pair, self.preparation, self._of_files))
            scaled = self.preparation.scaled
            return scaled(source, self._channels[0]), scaled(target, self._channels[1])

        return self._cache.get(pair, decode)


def read_pair(
    pair: PairFiles, channels: tuple[ChannelCount, ChannelCount] = (RGB, RGB), tell: Tell = silent
) -> tuple[Pixels, Pixels]:
    """Return the two images of a pair, [h, w, c], of one size; `channels` are those of A and B.

    `tell` gets a sentence about what looks wrong and was taken all the same.

    Raises ImageError for a file that cannot be read, LayoutError for one that is no pair, or a pair of two sizes.
    """
    if not pair.is_joined:
        a, b = read_pixels(pair.a, channels[0], tell), read_pixels(pair.b, channels[1], tell)
        _check_sizes(pair, a, b)
        return a, b
    both = read_pixels(pair.a, _channels_of_both(pair.a, channels), tell)
    height, width = both.shape[:2]
    _check_joined(pair.a, width, height)
    half = width // 2
    return both[:, :half], both[:, half:]


def _channels_of_both(path: Path, channels: tuple[ChannelCount, ChannelCount]) -> ChannelCount:
    """Channels of a file in which A and B lie side by side."""
    if set(channels) <= {GREY, RGB}:
        return RGB
    if channels[0] != channels[1]:
        raise LayoutError(
            found=f"{path} would hold {channels[0]} channels in its left half and {channels[1]} in its right",
            expected="A and B of different channels in files of their own",
            fix="put them into the folders A/train and B/train, under one name",
        )
    return channels[0]


def _read_again(
    pair: PairFiles, preparation: Preparation, channels: tuple[ChannelCount, ChannelCount]
) -> tuple[Pixels, Pixels]:
    try:
        images = read_pair(pair, channels)
    except ImageError as error:
        raise ImageError(
            found=f"{pair.a} could be read when training started and cannot now: {error.found}",
            expected="a data set that stays as it is",
            fix="put the file back and go on with --resume",
        ) from error
    preparation.check(pair.a, images[0])
    return images


def _check(
    pairs: Sequence[PairFiles], preparation: Preparation, channels: tuple[ChannelCount, ChannelCount]
) -> _Checked:
    """Tell the pairs apart by whether they can be read. The first thousands are decoded, the rest when used."""
    readable: list[PairFiles] = list(pairs[DECODED_AT_START:])
    unreadable: list[str] = []
    checked: list[PairFiles] = []
    told: list[str] = []
    for pair in pairs[:DECODED_AT_START]:
        try:
            a, _ = read_pair(pair, channels, told.append)
        except ImageError as error:
            unreadable.append(error.found)
            continue
        preparation.check(pair.a, a)
        checked.append(pair)
    warn_told(told)
    return _Checked(readable=(*checked, *readable), unreadable=tuple(unreadable))


def _need_one(root: Path, pairs: Sequence[PairFiles], unreadable: Sequence[str]) -> None:
    if not pairs:
        raise LayoutError(
            found=f"training set {root} holds {f'{len(unreadable)} unreadable' if unreadable else 'no'} pairs"
            + (f": {unreadable_in_words(unreadable)}" if unreadable else ""),
            expected="at least one pair of images (jpg, png, webp, ppm, bmp, tif)",
            fix="put A and B side by side into one image in train/, or into A/train/ and B/train/ under one name",
        )


def _check_joined(path: Path, width: int, height: int) -> None:
    if width % 2:
        raise LayoutError(
            found=f"{path} is {width} pixels wide, which is odd",
            expected="A and B side by side in one image, each half of its width",
            fix="join them again at one size, or put them into the folders A/train and B/train",
        )
    if width <= height:
        raise LayoutError(
            found=f"{path} is {width}x{height} pixels: that looks like one image, not two side by side",
            expected="A and B side by side in one image, wider than high",
            fix="pairs go side by side or into A/train and B/train; images without a partner fit an unpaired model, "
            "with the folders trainA and trainB",
        )


def _check_sizes(pair: PairFiles, a: Pixels, b: Pixels) -> None:
    if width_and_height(a) != width_and_height(b):
        raise LayoutError(
            found=f"{pair.a} is {_size(a)} pixels and {pair.b} is {_size(b)}",
            expected="both images of a pair at one size, so that what they show lies at the same place",
            fix="bring one of them to the other's size",
        )


def _size(pixels: Pixels) -> str:
    width, height = width_and_height(pixels)
    return f"{width}x{height}"


def write_paired_example(root: Path, size: int = 64, count: int = 4) -> None:
    """Draw a tiny paired set below `root`, side by side: outlines of discs (A), and the discs in colour (B)."""
    for split, pairs in (("train", count), ("test", max(count // 2, 1))):
        folder = root / split
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(pairs):
            generator = np.random.default_rng(derive(0, split, index))
            _example(size, generator).save(folder / f"{index:03d}.png")


def _example(size: int, generator: np.random.Generator) -> Image.Image:
    ground, colour = (tuple(generator.integers(low, low + 100, size=3).tolist()) for low in (20, 130))
    side = int(generator.integers(size // 3, size // 2 + 1))
    left, top = generator.integers(0, size - side, size=2).tolist()
    image = Image.new("RGB", (2 * size, size), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((left, top, left + side, top + side), outline="black")
    pen.rectangle((size, 0, 2 * size, size), fill=ground)
    pen.ellipse((size + left, top, size + left + side, top + side), fill=colour)
    return image
