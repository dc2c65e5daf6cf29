"""Images of any number of domains, one folder for each.

root/train/cat/   root/train/dog/   ...   the images that are learned from
root/val/cat/     root/val/dog/     ...   optional (or test/): shown while training, and not learned from

root/cat/         root/dog/         ...   the same without splits
"""

from __future__ import annotations

import json
import logging
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource, R
from i2i_runtime.image.resampling import Levels
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.folders import (
    RESERVED,
    ImageFolder,
    check_images,
    list_images,
    read_again,
    unreadable_in_words,
    warn_left_out,
    warn_passed_over,
)
from i2i_toolkit.data.order import shuffled
from i2i_toolkit.data.preparation import tensor_of, width_and_height
from i2i_toolkit.seeds import derive

_log = logging.getLogger(__name__)

LEAST = 2
"""images of a domain: a pair of references is two different ones"""

AREA = (0.8, 1.0)
"""share of an image that a random crop has"""

RATIO = (0.9, 1.1)
"""width over height of a random crop, as a factor on that of the image"""

_ATTEMPTS = 10
_SPLITS = ("val", "test")


@dataclass(frozen=True, slots=True)
class Crop:
    """A random crop, in pixels of the image, and whether it is mirrored."""

    box: tuple[int, int, int, int]
    """left, top, right, bottom"""
    flip: bool


@dataclass(frozen=True)
class DomainsLayout(DataLayout):
    """One folder of images for each of any number of domains: train/cat/, train/dog/ (and val/), or cat/, dog/.

    A sample is a source image and two reference images of one domain: {"image" float32 [3, s, s], "domain" int64 [],
    "reference" [3, s, s], "other_reference" [3, s, s], "reference_domain" []}; images in [-1, 1], domains as indices
    into `domains`.

    Domains are balanced: of n samples in a row (from a multiple of n on) each of the n domains has one, in a random
    order, and as many references. The two references are different images. Each domain's images are gone through
    in a random order, new in every epoch. All of it is a function of the seed and the position.

    Folders that are no domain of the model are left out, and told.
    """

    domains: tuple[str, ...]
    """names of the folders, in the order of the labels"""
    image_size: int
    """side s of the samples, pixels"""
    crop_probability: float = 0.5
    """how often a random crop is taken (of AREA and RATIO) instead of the whole image"""
    flip: bool = True
    """whether images may be mirrored"""
    cache_bytes: int = 1 << 30
    """how much memory decoded images may take; sets that fit are decoded once"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether there are two folders of images or more, under names that no other layout has. None is opened."""
        domains = find_domains(root)
        return bool(domains) and not RESERVED & set(domains)

    @classmethod
    def complete(cls, config: R, root: Path) -> R:
        """Set `domains` to the names of the folders; their order stays when the Config has the same ones."""
        found = find_domains(root)
        if not found or set(found) == set(getattr(config, "domains", found)):
            return config
        return config.model_copy(update={"domains": found})

    def open(self, root: Path, seed: int) -> DataSource:
        """Open the folders. Raises LayoutError when a domain has none, or one that holds fewer than two images."""
        return DomainFolders(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw a figure of its own for every domain."""
        write_domains_example(root, self.domains, size=self.image_size)


class DomainFolders:
    """Folders of images, one for each domain: what `DomainsLayout.open` gives."""

    def __init__(self, root: Path, layout: DomainsLayout, seed: int) -> None:
        self.domains = layout.domains
        self.image_size = layout.image_size
        self._crop_probability = layout.crop_probability
        self._flip = layout.flip
        self._seed = seed
        base = _training_folder(root)
        _check_names(base, self.domains)
        self._train = [_usable(base, domain) for domain in self.domains]
        self._shown = _shown_beside(root, base, self._train)
        warn_passed_over(root)
        others = sorted(set(_folders(base)) - set(self.domains))
        if others:
            _log.warning("left out of %s: %s, no domains of the model", base, ", ".join(others))
        warn_left_out("images", [sentence for images in self._all() for sentence in images.unreadable])
        self._cache: ImageCache[tuple[Levels]] = ImageCache(layout.cache_bytes)

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`, augmented."""
        source, visit = self._domain("source", position)
        target, target_visit = self._domain("reference", position)
        count = len(self._train[target].readable)
        first = self._index("reference", target, target_visit)
        # Another one than the first, wherever its own order stands.
        distance = int(np.random.default_rng(derive(self._seed, "distance", position)).integers(1, count))
        return {
            "image": self._augmented(source, self._index("source", source, visit), position, "image"),
            "domain": torch.tensor(source),
            "reference": self._augmented(target, first, position, "reference"),
            "other_reference": self._augmented(target, (first + distance) % count, position, "other_reference"),
            "reference_domain": torch.tensor(target),
        }

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first images of each domain in turn, each beside the reference of the next domain; not augmented.

        From val/ or test/ where there is one, else from those of the training. Fewer than `count` rows when there are
        fewer images.
        """
        number = len(self.domains)
        rows = min(count, sum(len(images.readable) for images in self._shown))
        sources = [row % number for row in range(rows)]
        targets = [(row + 1) % number for row in range(rows)]
        return {
            "image": torch.stack([self._fitted(domain, row // number) for row, domain in enumerate(sources)]),
            "domain": torch.tensor(sources),
            "reference": torch.stack([self._fitted(domain, row // number + 1) for row, domain in enumerate(targets)]),
            "reference_domain": torch.tensor(targets),
        }

    def describe(self) -> Mapping[str, int]:
        """Images per domain, and how many were left out as unreadable."""
        counts = {images.folder.name: len(images.readable) for images in self._train}
        return {**counts, "unreadable": sum(len(images.unreadable) for images in self._all())}

    def _domain(self, part: str, position: int) -> tuple[int, int]:
        """Which domain this sample has, and how often the domain came before."""
        number = len(self.domains)
        return shuffled(self._seed, f"{part} domains", number, position), position // number

    def _index(self, part: str, domain: int, visit: int) -> int:
        return shuffled(self._seed, f"{part} {self.domains[domain]}", len(self._train[domain].readable), visit)

    def _augmented(self, domain: int, index: int, position: int, part: str) -> Tensor:
        image = self._image(self._train[domain].readable[index])
        generator = np.random.default_rng(derive(self._seed, "augment", part, position))
        crop = draw_crop(generator, *width_and_height(image), probability=self._crop_probability, flip=self._flip)
        return cropped(image, crop, self.image_size)

    def _fitted(self, domain: int, index: int) -> Tensor:
        paths = self._shown[domain].readable
        image = self._image(paths[index % len(paths)])
        return cropped(image, Crop((0, 0, *width_and_height(image)), flip=False), self.image_size)

    def _image(self, path: Path) -> Levels:
        return self._cache.get(path, lambda: (read_again(path),))[0]

    def _all(self) -> tuple[ImageFolder, ...]:
        return (*self._train, *(images for images in self._shown if images not in self._train))


def find_domains(root: Path) -> tuple[str, ...]:
    """Return the names of the domains whose images are below `root`, in the order of the alphabet.

    None where there are no two folders with images, or where images lie beside them.
    """
    base = root / "train" if (root / "train").is_dir() else root
    folders = _folders(base) if base.is_dir() else []
    images = list_images(base)
    filled = {path.relative_to(base).parts[0] for path in images if path.parent != base}
    loose = any(path.parent == base for path in images)
    return tuple(folders) if len(folders) > 1 and filled == set(folders) and not loose else ()


def draw_crop(generator: np.random.Generator, width: int, height: int, *, probability: float, flip: bool) -> Crop:
    """Return the whole image, or with `probability` a part of it of AREA and RATIO at a random place.

    Where no such part fits in ten attempts (long and thin images), it is the whole image.
    """
    mirrored = flip and bool(generator.integers(2))
    if generator.random() < probability:
        for _ in range(_ATTEMPTS):
            area = width * height * generator.uniform(*AREA)
            ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                left, top = int(generator.integers(width - across + 1)), int(generator.integers(height - down + 1))
                return Crop((left, top, left + across, top + down), mirrored)
    return Crop((0, 0, width, height), mirrored)


def cropped(image: Levels, crop: Crop, size: int) -> Tensor:
    """Return the crop of an RGB image at size x size (bilinear), mirrored if so drawn, as a tensor in [-1, 1]."""
    resized = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=crop.box))
    return tensor_of(resized[:, ::-1] if crop.flip else resized)


def write_domains_example(
    root: Path,
    domains: Sequence[str],
    size: int = 64,
    count: int = 4,
    splits: Mapping[str, int] | None = None,
) -> None:
    """Draw a tiny set below `root`: every domain has a figure of its own (a polygon), in random colours.

    `splits` are the folders of the splits with how many images of a domain each has; None: train with `count`, and val.
    """
    for split, images in (splits or {"train": count, "val": LEAST}).items():
        for corners, domain in enumerate(domains, start=3):
            folder = root / split / domain
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(images):
                generator = np.random.default_rng(derive(0, split, domain, index))
                _example(corners, size, generator).save(folder / f"{index:03d}.png")


def _example(corners: int, size: int, generator: np.random.Generator) -> Image.Image:
    dark, light = (tuple(generator.integers(low, low + 60, size=3).tolist()) for low in (0, 190))
    image = Image.new("RGB", (size, size), dark)
    radius = int(generator.integers(size // 6, size // 3))
    x, y = generator.integers(radius, size - radius, size=2).tolist()
    ImageDraw.Draw(image).regular_polygon((x, y, radius), corners, fill=light)
    return image


# --- Layout -----------------------------------------------------------------------------------------------------------


def _training_folder(root: Path) -> Path:
    """Return the folder whose folders are the domains."""
    if not root.is_dir():
        raise LayoutError(
            found=f"{root} is a file" if root.exists() else f"{root} does not exist",
            expected="a folder with train/<domain>/ or <domain>/ for every domain",
            fix="give the folder that holds them with --data",
        )
    return root / "train" if (root / "train").is_dir() else root


def _folders(base: Path) -> list[str]:
    return sorted(entry.name for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _check_names(base: Path, domains: Sequence[str]) -> None:
    folders = _folders(base)
    if set(domains) <= set(folders):
        return
    loose = sum(path.parent == base for path in list_images(base))
    images = f" and {loose} images beside them" if loose else ""
    raise LayoutError(
        found=f"{base} holds {len(folders)} folders ({', '.join(folders) or 'none'}){images}",
        expected=f"one for each of the model's {len(domains)} domains: {', '.join(domains)}",
        fix=_naming(_trainable(base))
        or "put the images of each domain into a folder with its name, and name them: --set domains=first,second",
    )


def _trainable(base: Path) -> list[str]:
    """Return the folders that hold enough images for a domain."""
    return [name for name in _folders(base) if len(list_images(base / name)) >= LEAST]


def _naming(domains: Sequence[str]) -> str:
    """Return the option that names these domains; empty for none."""
    plain = len(domains) > 1 and all(re.fullmatch(r"[A-Za-z][\w-]*", name) for name in domains)
    text = ",".join(domains) if plain else json.dumps(list(domains), ensure_ascii=False)
    return f"--set {shlex.quote(f'domains={text}')}" if domains else ""


def _usable(base: Path, domain: str) -> ImageFolder:
    folder = base / domain
    images = check_images(folder)
    if len(images.readable) < LEAST:
        number = {0: "no image", 1: "one image"}[len(images.readable)]
        reasons = unreadable_in_words(images.unreadable)
        damaged = f" that can be read, and {len(images.unreadable)} that cannot: {reasons}" if reasons else ""
        without = _naming([name for name in _trainable(base) if name != domain])
        raise LayoutError(
            found=f"{folder} holds {number}{damaged}",
            expected="at least two (jpg, png, webp, ppm, bmp, tif): references are pairs of different images",
            fix="put more images of this domain there" + (f", or train without it: {without}" if without else ""),
        )
    return images


def _shown_beside(root: Path, base: Path, train: Sequence[ImageFolder]) -> list[ImageFolder]:
    """Return what is shown of each domain: its images in val/, else in test/, else those of the training."""
    splits = [root / split for split in _SPLITS] if base != root else []
    return [
        next((found for split in splits if (found := check_images(split / own.folder.name)).readable), own)
        for own in train
    ]
