"""Images with label maps beside them, and instance maps where there are some. Files of one name belong together.

root/train/images/   root/train/labels/   root/train/instances/
root/train_img/      root/train_label/    root/train_inst/          the same under the names of SPADE's release
root/images/         root/labels/         root/instances/           the same without splits

Beside train there may be val or test: shown while training, and not learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image, ImageDraw
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource
from i2i_runtime.errors import ImageError
from i2i_runtime.image.index_maps import IndexMap, read_index_map, resized_map
from i2i_runtime.image.pixels import Pixels
from i2i_runtime.image.reading import read_pixels
from i2i_runtime.image.resampling import Levels, resampled
from i2i_runtime.image.resizing import BICUBIC
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.folders import DECODED_AT_START, list_images, silent, unreadable_in_words, warn_left_out
from i2i_toolkit.data.order import shuffled
from i2i_toolkit.data.paired_layout import match_by_name
from i2i_toolkit.data.preparation import tensor_of
from i2i_toolkit.seeds import derive

Triple: TypeAlias = tuple[Levels, IndexMap, IndexMap]
"""An image [h, w, 3] with its label map and its instance map [h, w]; the last is empty where there is none."""

UNKNOWN = 255
"""what label maps hold where nobody said what is there (COCO-Stuff, Cityscapes)"""

_PARTS = ("images", "labels", "instances")
_RELEASE = ("img", "label", "inst")
_SPLITS = ("train", "val", "test")
_EXPECTED = "train/images/ and train/labels/ (and train/instances/), or train_img/ and train_label/ (and train_inst/)"


@dataclass(frozen=True)
class SegmentedLayout(DataLayout):
    """Images with label maps, and perhaps instance maps, beside them: train/images/, train/labels/, train/instances/.

    Samples are {"image": float32 [3, h, w] in [-1, 1], "labels": int64 [h, w], "instances": int64 [h, w]}; all are
    resized alike (maps by nearest neighbour), cropped and mirrored together. Order and draws are functions of the seed
    and the position. Maps are images of one channel whose levels, or palette indices, are the numbers.
    """

    classes: int
    """how many there are: labels are 0 to classes - 1"""
    size: tuple[int, int]
    """height and width of samples, pixels"""
    load_size: tuple[int, int] | None = None
    """height and width before the random crop; None: as `size`"""
    flip: bool = True
    """whether every other sample is mirrored"""
    unknown: bool = True
    """whether maps may hold 255, for what nobody labelled; samples then hold `classes` there"""
    instances: bool = False
    """whether samples hold instance maps, which the data then must have"""
    cache_bytes: int = 1 << 30
    """how much memory resized images and maps may take; sets that fit are decoded once"""

    def __post_init__(self) -> None:
        """Raise ValueError when nothing of `size` can be cut out of `load_size`."""
        if self.load_size is not None and min(a - b for a, b in zip(self.load_size, self.size, strict=True)) < 0:
            raise ValueError(f"load_size {self.load_size} is smaller than size {self.size}")

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether images and label maps lie in folders under one of the names. None is opened."""
        folders = _folders(root).get("train")
        return folders is not None and all(list_images(folder) for folder in folders[:2])

    def open(self, root: Path, seed: int) -> DataSource:
        """Open the folders.

        Raises LayoutError when they are not there, an image or a map has no partner, a map is of another size than its
        image, or holds a label that is no class.
        """
        return SegmentedFolders(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw shapes, each class in a colour of its own, in train/ and val/."""
        write_segmented_example(root, self.classes, self.size)


class SegmentedFolders:
    """Images with label maps in folders: what `SegmentedLayout.open` gives."""

    def __init__(self, root: Path, layout: SegmentedLayout, seed: int) -> None:
        self._layout = layout
        self._seed = seed
        self._unreadable: list[str] = []
        self._splits = {
            split: self._checked(_match(folders, layout.instances)) for split, folders in _found(root).items()
        }
        if not self._splits["train"]:
            held = f"{len(self._unreadable)} unreadable images" if self._unreadable else "no images"
            reasons = f": {unreadable_in_words(self._unreadable)}" if self._unreadable else ""
            raise LayoutError(
                found=f"the training set in {root} holds {held}{reasons}",
                expected="at least one image with its label map",
                fix="put images into train/images/, and their maps under the same names into train/labels/",
            )
        warn_left_out("images with their maps", self._unreadable)
        self._cache: ImageCache[Triple] = ImageCache(layout.cache_bytes)

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`: an image with its maps, augmented alike."""
        train = self._splits["train"]
        paths = train[shuffled(self._seed, "images", len(train), position)]
        size = self._layout.load_size or self._layout.size
        triple = self._cache.get(paths, lambda: _resized(self._read_again(paths), size))
        generator = np.random.default_rng(derive(self._seed, "augment", position))
        (height, width), free = self._layout.size, [a - b for a, b in zip(size, self._layout.size, strict=True)]
        top, left = (int(generator.integers(pixels + 1)) for pixels in free)
        step = -1 if bool(generator.integers(2)) and self._layout.flip else 1
        rows, columns = slice(top, top + height), slice(left, left + width)
        image, labels, instances = triple
        return self._sample(
            image[rows, columns][:, ::step], labels[rows, columns][:, ::step], instances[rows, columns][:, ::step]
        )

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first `count` images of val, else of test, else of those learned from, with their maps."""
        shown = next(split for name in ("val", "test", "train") if (split := self._splits.get(name)))
        samples = [self._sample(*_resized(self._read_again(paths), self._layout.size)) for paths in shown[:count]]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def describe(self) -> Mapping[str, int]:
        """Images per split, and how many were left out as unreadable."""
        return {**{name: len(split) for name, split in self._splits.items()}, "unreadable": len(self._unreadable)}

    def _sample(self, image: Levels, labels: IndexMap, instances: IndexMap) -> dict[str, Tensor]:
        known = np.where(labels == UNKNOWN, self._layout.classes, labels) if self._layout.unknown else labels
        sample = {"image": tensor_of(image), "labels": _whole(known)}
        return {**sample, "instances": _whole(instances)} if self._layout.instances else sample

    def _checked(self, split: list[tuple[Path, ...]]) -> list[tuple[Path, ...]]:
        """Leave out what cannot be read. The first thousands are decoded, the rest when their turn comes."""
        readable: list[tuple[Path, ...]] = []
        for paths in split[:DECODED_AT_START]:
            try:
                self._read(paths)
            except ImageError as error:
                self._unreadable.append(error.found)
            else:
                readable.append(paths)
        return readable + split[DECODED_AT_START:]

    def _read_again(self, paths: tuple[Path, ...]) -> tuple[Pixels, IndexMap, IndexMap]:
        try:
            return self._read(paths)
        except ImageError as error:
            raise ImageError(
                found=f"{paths[0]} could be read when training started and cannot now: {error.found}",
                expected="a data set that stays as it is",
                fix="put the file back and go on with --resume",
            ) from error

    def _read(self, paths: tuple[Path, ...]) -> tuple[Pixels, IndexMap, IndexMap]:
        image = read_pixels(paths[0], tell=silent)
        maps = [read_index_map(path) for path in paths[1:]]
        for path, numbers in zip(paths[1:], maps, strict=True):
            _check_size(paths[0], image.shape[:2], path, numbers.shape)
        _check_labels(paths[1], maps[0], self._layout)
        return image, maps[0], maps[1] if self._layout.instances else np.empty((0, 0), np.int32)


def _whole(numbers: IndexMap) -> Int64[Tensor, "h w"]:
    return torch.from_numpy(numbers.astype(np.int64))


def _resized(triple: tuple[Pixels, IndexMap, IndexMap], size: tuple[int, int]) -> Triple:
    """All at `size` (height, width): the image as Pillow resizes it, the maps by nearest neighbour."""
    image, *maps = triple
    height, width = size
    labels, instances = (resized_map(numbers, height, width) if numbers.size else numbers for numbers in maps)
    return resampled(image, width, height, BICUBIC), labels, instances


# --- Layout -----------------------------------------------------------------------------------------------------------


def _folders(root: Path) -> Mapping[str, tuple[Path, Path, Path]]:
    """Split -> the folders of its images, labels and instances; the first two exist."""
    named = [{split: _three(root / split, _PARTS) for split in _SPLITS}]
    named.append({split: _three(root, tuple(f"{split}_{part}" for part in _RELEASE)) for split in _SPLITS})
    named.append({"train": _three(root, _PARTS)})
    for splits in named:
        found = {split: three for split, three in splits.items() if all(folder.is_dir() for folder in three[:2])}
        if "train" in found:
            return found
    return {}


def _three(root: Path, names: tuple[str, ...]) -> tuple[Path, Path, Path]:
    images, labels, instances = (root / name for name in names)
    return images, labels, instances


def _found(root: Path) -> Mapping[str, tuple[Path, Path, Path]]:
    folders = _folders(root)
    if folders:
        return folders
    if not root.is_dir():
        found = f"{root} is a file" if root.exists() else f"{root} does not exist"
    else:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        found = f"{root} holds no label maps beside images: its folders are {', '.join(names) or 'none'}"
    raise LayoutError(found=found, expected=_EXPECTED, fix="give the folder that holds them with --data")


def _match(folders: tuple[Path, Path, Path], instances: bool) -> list[tuple[Path, ...]]:  # noqa: FBT001 - private
    if instances and not folders[2].is_dir():
        raise LayoutError(
            found=f"{folders[2]} is not there",
            expected="instance maps beside the label maps, which this model learns from",
            fix="put them there, or set the model to go without",
        )
    return match_by_name(
        folders if instances else folders[:2],
        "give an image and its maps one name, and take away what has no partner",
    )


def _check_size(image: Path, own: tuple[int, ...], path: Path, other: tuple[int, ...]) -> None:
    if own != other:
        raise LayoutError(
            found=f"{image} is {own[1]}x{own[0]} pixels and {path} is {other[1]}x{other[0]}",
            expected="an image and its maps at one size, so that what they show lies at the same place",
            fix="resize one to the other; maps by nearest neighbour, which invents no labels",
        )


def _check_labels(path: Path, labels: IndexMap, layout: SegmentedLayout) -> None:
    present = {int(label) for label in np.unique(labels)} - ({UNKNOWN} if layout.unknown else set[int]())
    wrong = sorted(label for label in present if not 0 <= label < layout.classes)
    if wrong:
        unknown = f", and {UNKNOWN} where it is unknown" if layout.unknown else ""
        raise LayoutError(
            found=f"{path} holds the label {wrong[0]}"
            + f" and {len(wrong) - 1} more that are wrong" * (len(wrong) > 1),
            expected=f"labels from 0 to {layout.classes - 1}{unknown}",
            fix="count the classes again, or write the maps anew",
        )


def write_segmented_example(root: Path, classes: int, size: tuple[int, int], count: int = 4) -> None:
    """Draw a tiny set below `root`, of images of `size` (height, width) with label and instance maps."""
    palette = np.random.default_rng(derive(0, "segmented")).integers(0, 256, (classes, 3))
    for split in ("train", "val"):
        for part in _PARTS:
            (root / split / part).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            labels, instances = _example(classes, size, np.random.default_rng(derive(0, split, "segmented", index)))
            colours = palette[np.asarray(labels)].astype(np.uint8)
            for part, image in zip(_PARTS, (Image.fromarray(colours), labels, instances), strict=True):
                image.save(root / split / part / f"{index:03d}.png")


def _example(classes: int, size: tuple[int, int], generator: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Label map and instance map of a few rectangles, each an instance, on a ground of class 0."""
    height, width = size
    labels, instances = (Image.new("L", (width, height)) for _ in range(2))
    for number in range(1, 5):
        left, top = int(generator.integers(width)), int(generator.integers(height))
        box = (left, top, left + width // 3, top + height // 3)
        ImageDraw.Draw(labels).rectangle(box, fill=int(generator.integers(classes)))
        ImageDraw.Draw(instances).rectangle(box, fill=number)
    return labels, instances
