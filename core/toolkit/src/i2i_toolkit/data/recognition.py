"""Which of the toolkit's layouts a folder has, whoever is going to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from i2i_registry.errors import LayoutError
from i2i_runtime.errors import PictureError
from i2i_toolkit.data.folders import list_pictures
from i2i_toolkit.data.paired import read_pair
from i2i_toolkit.data.paired_layout import find_pairs
from i2i_toolkit.data.unpaired import DOMAINS

Layout = Literal["paired", "unpaired"]


def recognise(root: Path) -> frozenset[Layout]:
    """The layouts that `root` has, told from its folders and the first of its pairs; no other picture is opened."""
    unpaired = all(list_pictures(root / f"train{domain}") for domain in DOMAINS)
    found: dict[Layout, bool] = {"paired": _has_pairs(root), "unpaired": unpaired}
    return frozenset(layout for layout, there in found.items() if there)


def _has_pairs(root: Path) -> bool:
    try:
        pairs = find_pairs(root)["train"]
        return bool(pairs) and bool(read_pair(pairs[0]))
    except (LayoutError, PictureError):
        return False
