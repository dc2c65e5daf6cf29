"""One folder of images without labels, at any depth.

root/train/          the images that are learned from
root/val/            optional (or test/): shown while training, and not learned from

root/                or the images themselves, without splits
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource
from i2i_toolkit.data.attributes import AttributesLayout
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.domains import DomainsLayout, write_domains_example
from i2i_toolkit.data.folders import (
    ImageFolder,
    check_images,
    list_images,
    unreadable_in_words,
    warn_left_out,
    warn_passed_over,
)
from i2i_toolkit.data.paired import PairedLayout
from i2i_toolkit.data.preparation import ChannelCount, Preparation
from i2i_toolkit.data.prepared_images import PreparedImages
from i2i_toolkit.data.segmented import SegmentedLayout
from i2i_toolkit.data.unpaired import UnpairedLayout

_TOLD_APART: tuple[type[DataLayout], ...] = (
    PairedLayout,
    UnpairedLayout,
    DomainsLayout,
    SegmentedLayout,
    AttributesLayout,
)
"""Layouts that say more of the same files: what they recognise is not flat."""


@dataclass(frozen=True)
class FlatLayout(DataLayout):
    """One folder of images without labels: train/ (and val/), or the images themselves.

    Samples are {"image": float32 [c, s, s]} in [-1, 1]. Order, flips and crops are functions of the seed and the
    position.
    """

    preparation: Preparation
    """how images are scaled, cropped and mirrored; s is its crop_px"""
    channels: ChannelCount = 3
    """3, 1 for grey, or the number that the images have themselves"""
    cache_bytes: int = 1 << 30
    """how much memory scaled images may take; sets that fit are decoded once"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether there are two images or more, and nothing that another layout would make of them."""
        return len(list_images(_training_folder(root))) > 1 and not any(
            layout.recognises(root) for layout in _TOLD_APART
        )

    def open(self, root: Path, seed: int) -> DataSource:
        """Open the folder. Raises LayoutError when it holds nothing readable, or images smaller than the crop."""
        return FlatFolder(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw triangles in train/ and val/."""
        write_domains_example(root, ("",), size=self.preparation.crop_px)


class FlatFolder:
    """One folder of images: what `FlatLayout.open` gives."""

    def __init__(self, root: Path, layout: FlatLayout, seed: int) -> None:
        train = check_images(_training_folder(root), layout.channels)
        _need_one(root, train)
        splits = (
            [check_images(root / name, layout.channels) for name in ("val", "test")] if train.folder != root else []
        )
        self._train = train
        self._shown = next((split for split in splits if split.readable), train)
        warn_passed_over(root)
        warn_left_out("images", self._unreadable())
        cache = ImageCache(layout.cache_bytes)
        self._images = PreparedImages("images", train.readable, layout.preparation, layout.channels, seed, cache)

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`: one image, augmented."""
        return {"image": self._images.draw(position)}

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first `count` images of val/, else of test/, else of those that are learned from."""
        return {"image": torch.stack([self._images.fitted(path) for path in self._shown.readable[:count]])}

    def describe(self) -> Mapping[str, int]:
        """Images that are learned from, and how many were left out as unreadable."""
        return {"images": len(self._train.readable), "unreadable": len(self._unreadable())}

    def _unreadable(self) -> list[str]:
        others = self._shown.unreadable if self._shown is not self._train else ()
        return [*self._train.unreadable, *others]


def _training_folder(root: Path) -> Path:
    return root / "train" if (root / "train").is_dir() else root


def _need_one(root: Path, images: ImageFolder) -> None:
    if images.readable:
        return
    reasons = unreadable_in_words(images.unreadable)
    held = f"{len(images.unreadable)} unreadable images: {reasons}" if reasons else "no images"
    there = f"{images.folder} holds {held}" if root.is_dir() else f"{root} is a file"
    raise LayoutError(
        found=there if root.exists() else f"{root} does not exist",
        expected="a folder of images (jpg, png, webp, ppm, bmp, tif), or train/ with them",
        fix="give the folder that holds them with --data",
    )
