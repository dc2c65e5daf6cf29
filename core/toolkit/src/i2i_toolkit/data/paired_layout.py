"""Where the images of pairs lie below a folder: finds the layout, pairs files by name, and says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.errors import LayoutError
from i2i_toolkit.data.folders import list_images

SPLITS = ("train", "val", "test")
_LAYOUT = (
    "train/ with A and B side by side in each image, or A/train/ and B/train/ with files of the same names "
    "(val/ and test/ are optional)"
)
_SHOWN = 3
"""how many files without a partner an error names"""


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Two images that belong together, or the one file that holds both."""

    a: Path
    b: Path

    @property
    def is_joined(self) -> bool:
        """Whether both lie side by side in one file."""
        return self.a == self.b


def find_pairs(root: Path) -> Mapping[str, tuple[PairFiles, ...]]:
    """Split -> its pairs, in the order of their paths; "train" is always among them.

    Raises LayoutError when `root` holds no layout of pairs, or an image has no partner.
    """
    if not root.is_dir():
        found = f"{root} is a file" if root.exists() else f"{root} does not exist"
        raise LayoutError(found=found, expected=_LAYOUT, fix="give the folder that holds them with --data")
    for folders in (_split_outside(root), _split_inside(root), _without_splits(root)):
        if "train" in folders:
            return {split: _match(a, b) for split, (a, b) in folders.items()}
    if (root / "train").is_dir():
        folders = {split: root / split for split in SPLITS if (root / split).is_dir()}
        return {
            split: tuple(PairFiles(path, path) for path in list_images(folder)) for split, folder in folders.items()
        }
    raise LayoutError(
        found=f"{root} holds no pairs: there is no train/, and no A/ with B/; it holds {_contents(root)}",
        expected=_LAYOUT,
        fix=_advice(root),
    )


Folders = Mapping[str, tuple[Path, Path]]
"""split -> the folder of A and that of B"""


def _split_outside(root: Path) -> Folders:
    return _existing({split: (root / split / "A", root / split / "B") for split in SPLITS})


def _split_inside(root: Path) -> Folders:
    return _existing({split: (root / "A" / split, root / "B" / split) for split in SPLITS})


def _without_splits(root: Path) -> Folders:
    return _existing({"train": (root / "A", root / "B")})


def _existing(folders: Folders) -> Folders:
    return {split: (a, b) for split, (a, b) in folders.items() if a.is_dir() and b.is_dir()}


def _match(folder_a: Path, folder_b: Path) -> tuple[PairFiles, ...]:
    fix = (
        "give both images of a pair one name; if they do not belong together, train an unpaired model "
        "on the folders trainA and trainB"
    )
    return tuple(PairFiles(a, b) for a, b in match_by_name((folder_a, folder_b), fix))


def match_by_name(folders: Sequence[Path], fix: str) -> list[tuple[Path, ...]]:
    """Find the files of some folders that belong together: their paths below them are equal but for the extension.

    Raises LayoutError, with `fix`, when a file has no partner in another of the folders.
    """
    named = [_by_name(folder) for folder in folders]
    lonely = [
        f"{len(alone)} in {folder} without a partner ({', '.join(alone[:_SHOWN])}{', ...' * (len(alone) > _SHOWN)})"
        for folder, own in zip(folders, named, strict=True)
        if (alone := sorted(name for name in own if any(name not in other for other in named)))
    ]
    if lonely:
        first, *others = (f"{len(own)}{{}} in {folder}" for folder, own in zip(folders, named, strict=True))
        counts = " and ".join([first.format(" images"), *(other.format("") for other in others)])
        raise LayoutError(
            found=f"{counts}: {' and '.join(lonely)}",
            expected="a file of the same name in each of these folders",
            fix=fix,
        )
    return [tuple(own[name] for own in named) for name in sorted(named[0])]


def _by_name(folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in list_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise LayoutError(
                found=f"{named[name]} and {path} have one name",
                expected="one image per name, since names tell which belong together",
                fix="remove or rename one of them",
            )
        named[name] = path
    return named


def _contents(root: Path) -> str:
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    images = sum(path.parent == root for path in list_images(root))
    parts = [f"{images} images"] if images else []
    if folders:
        parts.append("the folders " + ", ".join(folders))
    return " and ".join(parts) or "nothing"


def _advice(root: Path) -> str:
    names = {entry.name for entry in root.iterdir() if entry.is_dir()}
    if {"trainA", "trainB"} & names:
        return (
            "trainA/ and trainB/ are the layout of unpaired sets, which unpaired models learn from; if the files of "
            "both correspond by name, move them to A/train/ and B/train/"
        )
    nested = [entry for entry in sorted(root.iterdir()) if (entry / "train").is_dir()]
    if nested:
        return f"did you mean --data {nested[0]}?"
    if any(path.parent == root for path in list_images(root)):
        return f"if each image shows A and B side by side, move them to {root / 'train'}"
    return "put A and B side by side into one image in train/, or into A/train/ and B/train/ under one name"
