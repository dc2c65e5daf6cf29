"""A folder of images with a table of their attributes beside it.

root/list_attr_celeba.txt   root/img_align_celeba/   CelebA as it is unpacked; either name may be another
root/attributes.csv         root/images/             the same with a table that a person wrote

The table is the one .txt or .csv in `root`; the images are in the folder below it in which the first name of the table
is found, or in `root` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource, R
from i2i_runtime.errors import nearest
from i2i_toolkit.data.attribute_table import AttributeTable, may_be_a_table, read_attribute_table
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.domains import write_domains_example
from i2i_toolkit.data.folders import check_images, list_images, unreadable_in_words, warn_left_out
from i2i_toolkit.data.preparation import ChannelCount, Preparation
from i2i_toolkit.data.prepared_images import PreparedImages
from i2i_toolkit.seeds import derive

_SHOWN = 3
"""how many files an error names"""


@dataclass(frozen=True)
class AttributesLayout(DataLayout):
    """A folder of images with a table of their attributes beside it: CelebA's list_attr_celeba.txt, or a CSV.

    Samples are {"image": float32 [c, s, s] in [-1, 1], "attributes": float32 [n], 1 where the image has the attribute
    and else 0, in the order of `attributes`}. Order and draws are functions of the seed and the position.
    """

    attributes: tuple[str, ...]
    """names of columns of the table, in the order of the labels"""
    preparation: Preparation
    """how images are scaled, cropped and mirrored; s is its crop_px"""
    channels: ChannelCount = 3
    """3, 1 for grey, or the number that the images have themselves"""
    held_out: int = 0
    """how many images, drawn once, are shown while training and not learned from; CelebA in StarGAN: 1999"""
    cache_bytes: int = 1 << 30
    """how much memory scaled images may take; sets that fit are decoded once"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether there is a table, and the image that it names first. No image is opened."""
        return _table_in(root) is not None

    @classmethod
    def complete(cls, config: R, root: Path) -> R:
        """Set `attributes` to all of the table's, unless the table has every one of the Config's."""
        table = _table_in(root)
        if table is None or set(getattr(config, "attributes", table.names)) <= set(table.names):
            return config
        return config.model_copy(update={"attributes": table.names})

    def open(self, root: Path, seed: int) -> DataSource:
        """Open table and images.

        Raises LayoutError when there is no table or no images, the table lacks an attribute, or the table and the
        folder do not name the same images.
        """
        return AttributedImages(root, self, seed)

    def write_example(self, root: Path) -> None:
        """Draw figures, one for each attribute, and the table of which image has which."""
        write_attributes_example(root, self.attributes, self.preparation.crop_px)


class AttributedImages:
    """Images with attributes: what `AttributesLayout.open` gives."""

    def __init__(self, root: Path, layout: AttributesLayout, seed: int) -> None:
        table = read_attribute_table(_only_table(root))
        self._columns = [_column(table, name) for name in layout.attributes]
        folder = _image_folder(root, table)
        images = check_images(folder, layout.channels)
        names = {path: path.relative_to(folder).as_posix() for path in images.readable}
        _check_the_same(table, folder)
        self._unreadable = images.unreadable
        if len(names) <= layout.held_out:
            reasons = f" ({unreadable_in_words(images.unreadable)})" if images.unreadable else ""
            raise LayoutError(
                found=f"{folder} holds {len(names)} images that can be read{reasons}",
                expected=f"more than the {layout.held_out} that are held out",
                fix="put more images there, or hold out fewer",
            )
        warn_left_out("images", images.unreadable)
        order = np.random.default_rng(derive(0, "held out")).permutation(len(names)) if layout.held_out else []
        held_out = {images.readable[index] for index in order[: layout.held_out]}
        self._attributes = {path: table.rows[name] for path, name in names.items()}
        self._shown = [path for path in names if path in held_out] or list(names)
        train = tuple(path for path in names if path not in held_out)
        cache = ImageCache(layout.cache_bytes)
        self._images = PreparedImages("images", train, layout.preparation, layout.channels, seed, cache)

    def draw(self, position: int) -> dict[str, Tensor]:
        """Sample number `position`: an image, augmented, and its attributes."""
        path = self._images.paths[self._images.index(position)]
        return {"image": self._images.draw(position), "attributes": self._label(path)}

    def preview(self, count: int) -> dict[str, Tensor]:
        """Return the first `count` images held out, or else of those learned from, with their attributes."""
        shown = self._shown[:count]
        images = torch.stack([self._images.fitted(path) for path in shown])
        return {"image": images, "attributes": torch.stack([self._label(path) for path in shown])}

    def describe(self) -> Mapping[str, int]:
        """Images that are learned from and held out, and how many were left out as unreadable."""
        held_out = len(self._attributes) - len(self._images.paths)
        return {"images": len(self._images.paths), "held out": held_out, "unreadable": len(self._unreadable)}

    def _label(self, path: Path) -> Tensor:
        row = self._attributes[path]
        return torch.tensor([float(row[column]) for column in self._columns])


# --- Layout -----------------------------------------------------------------------------------------------------------


def _tables(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_file() and may_be_a_table(path))


def _table_in(root: Path) -> AttributeTable | None:
    """Return the one table below `root`, when it is one and names an image."""
    tables = _tables(root)
    if len(tables) != 1:
        return None
    try:
        table = read_attribute_table(tables[0])
        _image_folder(root, table)
    except (LayoutError, OSError):
        return None
    return table


def _only_table(root: Path) -> Path:
    tables = _tables(root)
    if len(tables) == 1:
        return tables[0]
    found = f"{root} holds {len(tables)} tables ({', '.join(path.name for path in tables[:_SHOWN])})"
    raise LayoutError(
        found=found if tables else f"{root} holds no table" if root.is_dir() else f"{root} is no folder",
        expected="one .csv or .txt that says which image has which attribute, beside the folder of the images",
        fix="take the others away" if tables else "put list_attr_celeba.txt or a CSV there: file,name,name,...",
    )


def _image_folder(root: Path, table: AttributeTable) -> Path:
    """Where the first image of the table is."""
    first = next(iter(table.rows))
    candidates = [*sorted(entry for entry in root.iterdir() if entry.is_dir()), root]
    for folder in candidates:
        if (folder / first).is_file() and (folder / first).resolve().is_relative_to(root.resolve()):
            return folder
    raise LayoutError(
        found=f"{table.path} names {first} first, and no folder in {root} holds it",
        expected="the images of the table in one folder beside it",
        fix="put the folder of the images beside the table; names in the table are below that folder",
    )


def _column(table: AttributeTable, name: str) -> int:
    if name not in table.names:
        raise LayoutError(
            found=f"{table.path} has no attribute {name!r}",
            expected=nearest(name, table.names),
            fix=f"--set attributes=... with names of the table: {', '.join(table.names[:8])}"
            + ", ..." * (len(table.names) > 8),  # noqa: PLR2004 - a line of them
        )
    return table.names.index(name)


def _check_the_same(table: AttributeTable, folder: Path) -> None:
    """Every line has an image and every image a line: what is missing is told, and not left out."""
    there = {path.relative_to(folder).as_posix() for path in list_images(folder)}
    without_image, without_line = sorted(table.rows.keys() - there), sorted(there - table.rows.keys())
    if without_image or without_line:
        parts = [
            f"{len(missing)} {what} ({', '.join(missing[:_SHOWN])}{', ...' * (len(missing) > _SHOWN)})"
            for missing, what in (
                (without_image, f"lines of {table.path.name} have no image in {folder}"),
                (without_line, f"images have no line in {table.path.name}"),
            )
            if missing
        ]
        raise LayoutError(
            found=" and ".join(parts),
            expected="a line for every image, and an image for every line",
            fix="take the lines or the images away that have no partner",
        )


def write_attributes_example(root: Path, attributes: Sequence[str], size: int = 64, count: int = 4) -> None:
    """Draw a tiny set below `root`: images/ and attributes.csv; every image has one attribute of its own."""
    write_domains_example(root, tuple(attributes), size, count, splits={"images": count})
    lines = [",".join(["file", *attributes])]
    for number, name in enumerate(attributes):
        values = ["1" if number == column else "0" for column in range(len(attributes))]
        lines += [",".join([f"{name}/{index:03d}.png", *values]) for index in range(count)]
    (root / "attributes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
