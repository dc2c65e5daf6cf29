"""Two sets of images with no correspondence between them, as the unpaired papers share them.

root/trainA  root/trainB     images of the first and the second domain, any depth of folders
root/testA   root/testB      optional: images that are shown while training, and not learned from
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource
from i2i_runtime.image.resampling import Levels
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.folders import (
    ImageFolder,
    check_images,
    list_images,
    unreadable_in_words,
    warn_left_out,
    warn_passed_over,
)
from i2i_toolkit.data.preparation import ChannelCount, Preparation
from i2i_toolkit.data.prepared_images import PreparedImages
from i2i_toolkit.seeds import derive

DOMAINS = ("A", "B")
"""The two sets, in samples and in the names of their folders."""
_EXPECTED = "trainA/ and trainB/ with the images of each domain (testA/ and testB/ are optional)"


@dataclass(frozen=True)
class UnpairedLayout(DataLayout):
    """Two folders of images with no correspondence between them: trainA/ and trainB/ (and testA/, testB/).

    Samples are {"A": float32 [c, s, s], "B": float32 [d, s, s]} in [-1, 1]. Each domain has its own order, new in every
    epoch, and its own flips and crops; all of them are functions of the seed and the position.
    """

    preparation: Preparation
    """how images are scaled, cropped and mirrored; s is its crop_px"""
    channels: tuple[ChannelCount, ChannelCount] = (3, 3)
    """of the samples of A and B; 1 makes them grey; what is not 1 or 3 the images have themselves"""
    cache_bytes: int = 1 << 30
    """how much memory scaled images may take; sets that fit are decoded once"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether trainA/ and trainB/ hold images. None is opened."""
        return all(list_images(root / f"train{domain}") for domain in DOMAINS)

    def open(self, root: Path, seed: int) -> DataSource:
        """Open both folders.

        Raises LayoutError when they are not there, hold nothing readable, or hold images smaller than the crop.
        """
        return UnpairedFolders(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw discs (A) and squares (B)."""
        write_unpaired_example(root, size=self.preparation.crop_px)


class UnpairedFolders:
    """Two folders that are gone through independently: what `UnpairedLayout.open` gives."""

    def __init__(self, root: Path, layout: UnpairedLayout, seed: int) -> None:
        _check_layout(root)
        channels = dict(zip(DOMAINS, layout.channels, strict=True))
        self._train = {domain: _usable(root / f"train{domain}", channels[domain]) for domain in DOMAINS}
        self._test = {domain: check_images(root / f"test{domain}", channels[domain]) for domain in DOMAINS}
        warn_passed_over(root)
        warn_left_out("images", [sentence for images in self._all() for sentence in images.unreadable])
        cache: ImageCache[tuple[Levels]] = ImageCache(layout.cache_bytes)
        self._images = {
            domain: PreparedImages(
                domain, self._train[domain].readable, layout.preparation, channels[domain], seed, cache
            )
            for domain in DOMAINS
        }

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`: one image of each domain, augmented."""
        return {domain: images.draw(position) for domain, images in self._images.items()}

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first `count` test images of each domain (training images where there are none), in [-1, 1].

        Fewer when no domain has so many; the smaller domain repeats itself.
        """
        shown = {domain: self._test[domain].readable or self._train[domain].readable for domain in DOMAINS}
        rows = min(count, max(len(paths) for paths in shown.values()))
        return {
            domain: torch.stack([self._images[domain].fitted(paths[index % len(paths)]) for index in range(rows)])
            for domain, paths in shown.items()
        }

    def describe(self) -> Mapping[str, int]:
        """Images per folder, and how many were left out as unreadable."""
        counts = {images.folder.name: len(images.readable) for images in self._all()}
        return {**counts, "unreadable": sum(len(images.unreadable) for images in self._all())}

    def _all(self) -> tuple[ImageFolder, ...]:
        return (*self._train.values(), *self._test.values())


def write_unpaired_example(root: Path, size: int = 64, count: int = 4) -> None:
    """Draw a tiny unpaired set below `root`: light discs on dark ground (A), dark squares on light ground (B)."""
    for split, images in (("train", count), ("test", max(count // 2, 1))):
        for domain in DOMAINS:
            folder = root / f"{split}{domain}"
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(images):
                generator = np.random.default_rng(derive(0, split, domain, index))
                _example(domain, size, generator).save(folder / f"{index:03d}.png")


def _example(domain: str, size: int, generator: np.random.Generator) -> Image.Image:
    dark, light = (tuple(generator.integers(low, low + 60, size=3).tolist()) for low in (0, 190))
    ground, colour = (dark, light) if domain == "A" else (light, dark)
    image = Image.new("RGB", (size, size), ground)
    side = int(generator.integers(size // 3, size // 2 + 1))
    left, top = generator.integers(0, size - side, size=2).tolist()
    box = (left, top, left + side, top + side)
    pen = ImageDraw.Draw(image)
    if domain == "A":
        pen.ellipse(box, fill=colour)
    else:
        pen.rectangle(box, fill=colour)
    return image


def _check_layout(root: Path) -> None:
    if not root.is_dir():
        found = f"{root} is a file" if root.exists() else f"{root} does not exist"
        raise LayoutError(found=found, expected=_EXPECTED, fix="give the folder that holds them with --data")
    missing = [f"train{domain}" for domain in DOMAINS if not (root / f"train{domain}").is_dir()]
    if missing:
        raise LayoutError(
            found=f"{root} has no {' and no '.join(missing)}: it holds {_contents(root)}",
            expected=_EXPECTED,
            fix=_advice(root),
        )


def _contents(root: Path) -> str:
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    images = sum(path.parent == root for path in list_images(root))
    parts = [f"{images} images"] if images else []
    if folders:
        parts.append("the folders " + ", ".join(folders[:8]) + (" ..." if len(folders) > 8 else ""))  # noqa: PLR2004
    return " and ".join(parts) or "nothing"


def _advice(root: Path) -> str:
    names = {entry.name.lower() for entry in root.iterdir() if entry.is_dir()}
    if {"train", "test"} & names or {"train", "val"} & names:
        return "this looks like a paired set: unpaired training needs each domain in a folder of its own"
    if {"a", "b"} <= names:
        return f"rename {root / 'A'} to trainA and {root / 'B'} to trainB"
    nested = [entry for entry in sorted(root.iterdir()) if (entry / "trainA").is_dir()]
    if nested:
        return f"did you mean --data {nested[0]}?"
    return "move the images of the first domain to trainA/, those of the second to trainB/"


def _usable(folder: Path, channels: ChannelCount) -> ImageFolder:
    images = check_images(folder, channels)
    if not images.readable:
        reasons = unreadable_in_words(images.unreadable)
        damaged = f"{len(images.unreadable)} unreadable images: {reasons}" if reasons else "no images"
        raise LayoutError(
            found=f"{folder} holds {damaged}",
            expected="at least one image (jpg, png, webp, ppm, bmp, tif)",
            fix="put the images of this domain there",
        )
    return images
