"""Which of the toolkit's layouts a folder or an image has, whoever is going to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from i2i_registry.errors import LayoutError
from i2i_runtime.errors import ImageError
from i2i_toolkit.data.domains import find_domains
from i2i_toolkit.data.folders import list_images
from i2i_toolkit.data.paired import read_pair
from i2i_toolkit.data.paired_layout import find_pairs
from i2i_toolkit.data.single import image_size
from i2i_toolkit.data.unpaired import DOMAINS

Layout = Literal["paired", "unpaired", "domains", "single"]

_TAKEN = frozenset({"A", "B", "trainA", "trainB", "testA", "testB", "train", "val", "test"})
"""Folders that mean something in one of the other layouts, and are no domains."""


def recognise(root: Path) -> frozenset[Layout]:
    """The layouts that `root` has, told from its folders and the first of its pairs, or from its one image.

    No other image is opened. Two images side by side are a pair below train/ only: alone in `root` itself, and
    given as a file, they are one image.
    """
    unpaired = all(list_images(root / f"train{domain}") for domain in DOMAINS)
    domains = find_domains(root)
    several = bool(domains) and not _TAKEN & set(domains)
    # Pairs may lie side by side in one image, at any depth: every image of a domain could be one.
    paired = not several and _has_pairs(root)
    found: dict[Layout, bool] = {"paired": paired, "unpaired": unpaired, "domains": several, "single": _is_single(root)}
    return frozenset(layout for layout, there in found.items() if there)


def _has_pairs(root: Path) -> bool:
    try:
        pairs = find_pairs(root)["train"]
        return bool(pairs) and bool(read_pair(pairs[0]))
    except (LayoutError, ImageError):
        return False


def _is_single(root: Path) -> bool:
    try:
        return bool(image_size(root))
    except LayoutError:
        return False
