"""Which files of a folder are images, and which are left out and why: one answer for running and training."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from i2i_runtime.errors import UsageError
from i2i_runtime.untrusted_text import printable

EXTENSIONS: Mapping[str, str] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    ".webp": "WEBP",
    ".gif": "GIF",
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".avif", ".avifs"), "AVIF"),
}
"""Which names stand for images when a folder is listed, and of which format; case is ignored."""

ARRAY_SUFFIX = ".npy"
"""Of files that hold an array: images of any number of channels, and numbers."""

INSTALL: Mapping[str, str] = {"HEIF": "pip install pillow-heif", "AVIF": 'pip install --upgrade "pillow>=11.3"'}
"""What brings the formats that are not always there."""

_NAMED = 3
"""how many files of each reason a sentence names"""


@lru_cache
def formats() -> tuple[str, ...]:
    """Pillow's names of what is decoded here. Formats that start other programs (EPS) are left out on purpose.

    HEIF is among them where pillow-heif is installed, AVIF where Pillow was built with it.
    """
    from PIL import features  # noqa: PLC0415 - commands that look at no image start without Pillow

    found = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"]
    if features.check("avif"):
        found.append("AVIF")
    if find_spec("pillow_heif") is not None:
        import_module("pillow_heif").register_heif_opener()
        found.append("HEIF")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files below a folder, in a fixed order, and what was passed over."""

    folder: Path
    images: tuple[Path, ...]
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])
    """reason -> files and folders"""

    @property
    def left_out_count(self) -> int:
        """How many files and folders were passed over."""
        return sum(map(len, self.left_out.values()))

    def sentence(self) -> str:
        """Return what was left out, counted, with the first names and the reasons; empty for nothing."""
        if not self.left_out:
            return ""
        parts = [f"{len(paths)} {reason} ({self._names(paths)})" for reason, paths in self.left_out.items()]
        return f"left out of {printable(str(self.folder))}: {'; '.join(parts)}"

    def _names(self, paths: tuple[Path, ...]) -> str:
        more = ", ..." if len(paths) > _NAMED else ""
        return ", ".join(printable(str(path.relative_to(self.folder))) for path in paths[:_NAMED]) + more


def scan_folder(root: str | os.PathLike[str], *, arrays: bool = False) -> Listing:
    """List the images below `root` by extension, sorted by path; links to folders are not followed.

    `arrays`: whether .npy files count as images. Nothing is opened: damaged files are found when they are read.

    Raises UsageError when `root` is not a folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(found=f"{folder} is not a folder" if folder.exists() else f"{folder} does not exist")
    images: list[Path] = []
    left_out: dict[str, list[Path]] = defaultdict(list)

    def cannot_be_listed(error: OSError) -> None:
        left_out[f"that cannot be listed: {error.strerror}"].append(Path(error.filename))

    for where, folders, files in os.walk(folder, onerror=cannot_be_listed):
        for name in list(folders):
            reason = _reason_of_folder(Path(where, name))
            if reason:
                folders.remove(name)
                left_out[reason].append(Path(where, name))
        for name in files:
            path = Path(where, name)
            reason = _reason_of_file(path, arrays=arrays)
            if reason:
                left_out[reason].append(path)
            else:
                images.append(path)
    return Listing(
        folder, tuple(sorted(images)), {reason: tuple(sorted(left_out[reason])) for reason in sorted(left_out)}
    )


def _reason_of_folder(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    return "linked folder, which is not followed" if path.is_symlink() else ""


def _reason_of_file(path: Path, *, arrays: bool) -> str:
    """Why a file is no image, said after a number; empty for images."""
    if path.name.startswith("."):
        return "hidden"
    suffix = path.suffix.lower()
    file_format = EXTENSIONS.get(suffix)
    if file_format is None and not (arrays and suffix == ARRAY_SUFFIX):
        return "not named like an image"
    if file_format is not None and file_format not in formats():
        return f"{suffix.lstrip('.').upper()}, which needs: {INSTALL[file_format]}"
    if not path.is_file():
        return "no regular file, or a link to nothing"
    return ""
