"""Which images a command is given: files, several files that are one image, and all images below folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_runtime.errors import UsageError
from i2i_runtime.image.folders import Listing, scan_folder
from i2i_runtime.image.reading import file_parts

Scanned = Callable[[Listing], None]
"""gets what was found in each folder, and what was left out"""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image that was found."""

    path: Path
    """a file; of several files that are one image "a.png+b.png" """
    place: Path
    """where it lies below the folder that was named; of a single file its name"""


def find_sources(given: Sequence[Path], out: Path, scanned: Scanned, *, arrays: bool = False) -> list[SourceImage]:
    """All images that are meant by files and folders. What lies in `out` is no input of the same run.

    `arrays`: whether .npy files in folders are images.

    Raises UsageError when an input does not exist, or a folder holds no images.
    """
    missing = [path for path in given if not all(part.exists() for part in file_parts(path))]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"these inputs do not exist: {missing[0]}{more}", expected="images, or folders of images")
    found: list[SourceImage] = []
    results = out.resolve()
    for path in given:
        if not path.is_dir():
            found.append(SourceImage(path, _name_of(path)))
            continue
        listing = scan_folder(path, arrays=arrays)
        scanned(listing)
        inside = [image for image in listing.images if not image.resolve().is_relative_to(results)]
        if not inside:
            raise UsageError(
                f"{path} holds no images; {listing.sentence() or 'nothing else either'}",
                expected="PNG, JPEG, WebP ...",
            )
        found += [SourceImage(image, image.relative_to(path)) for image in inside]
    return found


def _name_of(path: Path) -> Path:
    """Return the name that results of an input have: of several files `a.png+b.png` it is "a+b"."""
    parts = file_parts(path)
    return Path(path.name) if len(parts) == 1 else Path("+".join(part.stem for part in parts) + parts[0].suffix)
