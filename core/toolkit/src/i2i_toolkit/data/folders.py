"""Folders of images: which files count, and which of them can be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_runtime.errors import ImageError
from i2i_runtime.image.colour_profiles import Tell
from i2i_runtime.image.folders import scan_folder
from i2i_runtime.image.pixels import RGB, Pixels
from i2i_runtime.image.reading import read_pixels

DECODED_AT_START = 5000
"""How many images of a folder are decoded before training, to find damaged ones; decoding takes milliseconds each.
Of larger sets the rest is only looked at for empty files, and a damaged one stops the training when its turn comes."""


RESERVED = frozenset(
    {"A", "B", "trainA", "trainB", "testA", "testB", "train", "val", "test", "images", "labels", "instances"}
    | {f"{split}_{part}" for split in ("train", "val", "test") for part in ("img", "label", "inst")}
)
"""Folders that mean something in one of the layouts, and are therefore no domains."""

_NAMED = 5
"""how many unreadable files a warning names"""
_REASONS = 3
"""how many an error names"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images of one folder, in the order of their paths, and what was left out."""

    folder: Path
    readable: tuple[Path, ...]
    unreadable: tuple[str, ...]
    """a sentence for each, with its path and the reason"""


def list_images(folder: Path) -> tuple[Path, ...]:
    """Return the images below `folder` by their extension, .npy among them; none where there is no such folder."""
    return scan_folder(folder, arrays=True).images if folder.is_dir() else ()


def warn_passed_over(root: Path) -> None:
    """Log which files and folders below `root` are no images, or cannot be: once, when a data set is opened."""
    if root.is_dir() and (sentence := scan_folder(root, arrays=True).sentence()):
        _log.warning("%s", sentence)


def check_images(folder: Path, channels: int = RGB) -> ImageFolder:
    """Return the images below `folder`, told apart by whether they can be read with this many channels.

    Which are is a function of the files.
    """
    readable: list[Path] = []
    unreadable: list[str] = []
    told: list[str] = []
    for index, path in enumerate(list_images(folder)):
        problem = _problem(path, channels, told.append, decode=index < DECODED_AT_START)
        if problem:
            unreadable.append(problem)
        else:
            readable.append(path)
    warn_told(told)
    return ImageFolder(folder=folder, readable=tuple(readable), unreadable=tuple(unreadable))


def read_again(path: Path, channels: int = RGB) -> Pixels:
    """Decode an image that could be read when training started. Raises ImageError when it no longer can."""
    try:
        return read_pixels(path, channels, silent)
    except ImageError as error:
        raise ImageError(
            found=f"{path} could be read when training started and cannot now: {error.found}",
            expected="a data set that stays as it is",
            fix="put the file back and go on with --resume",
        ) from error


def warn_left_out(what: str, sentences: Sequence[str]) -> None:
    """Log how many `what` ("images", "pairs") are left out as unreadable, and name the first; silent for none."""
    if sentences:
        more = f"; and {len(sentences) - _NAMED} more" if len(sentences) > _NAMED else ""
        _log.warning("left out %d unreadable %s: %s%s", len(sentences), what, "; ".join(sentences[:_NAMED]), more)


def warn_told(sentences: Sequence[str]) -> None:
    """Log what looks wrong in images that are learned from all the same: the first sentences, and how many more."""
    for sentence in sentences[:_NAMED]:
        _log.warning("%s", sentence)
    if len(sentences) > _NAMED:
        _log.warning("and the same kind of thing in %d more images", len(sentences) - _NAMED)


def silent(sentence: str) -> None:
    """For images that are read again: what there is to tell of them was told when training started."""


def unreadable_in_words(sentences: Sequence[str]) -> str:
    """Return the first reasons why files were left out, for an error that stands on them."""
    more = f"; and {len(sentences) - _REASONS} more" if len(sentences) > _REASONS else ""
    return "; ".join(sentences[:_REASONS]) + more


def _problem(path: Path, channels: int, tell: Tell, *, decode: bool) -> str:
    if not decode:
        return "" if path.stat().st_size else f"{path} is empty (0 bytes)"
    try:
        read_pixels(path, channels, tell)
    except ImageError as error:
        return error.found
    return ""
