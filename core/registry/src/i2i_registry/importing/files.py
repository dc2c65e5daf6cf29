"""Checkpoints that are several files: found, told apart by a prefix, and read as one.

Many releases save each network in a file of its own. Together the files are one checkpoint, in which the name of every
tensor begins with the prefix of its file:

    latest_net_G_A.pth      "G_A"     what follows "_net_" is the network
    100000_nets_ema.ckpt    ""        several networks, which the file itself names
    0/netG.pth, Gs.pth      "0.netG", "Gs"    any other: its path inside the folder that all files lie in
    E=encoder.pth           "E"       said by the user

A single file has no prefix, unless the user says one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_registry.checkpoints.limits import MOST_BYTES
from i2i_registry.errors import CheckpointError
from i2i_registry.importing.choice import choose
from i2i_runtime.errors import UsageError
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_registry.checkpoints.reader import Checkpoint

SUFFIXES = frozenset({".pth", ".pt", ".ckpt", ".pkl", ".safetensors", ".tar"})
"""What is taken for a checkpoint in a folder (".pth.tar" is no archive); a file that is named may have any."""

MOST_DEPTH = 3
"""Levels of folders inside the given one that are looked into."""
MOST_ENTRIES = 10_000
MOST_FILES = 256

MOST_PATH = 400
"""Characters of a path that a message shows."""

_LABELLED = re.compile(r"([\w.]+)=(.+)")
_NETWORK = re.compile(r".*_net_(.+)")
_NETWORKS = re.compile(r".*_nets(_.+)?")
_OTHER_FRAMEWORKS = {
    "TensorFlow": re.compile(r".+\.(?:index|meta|data-\d+-of-\d+|pb|tflite)", re.IGNORECASE),
    "Keras": re.compile(r".+\.(?:h5|hdf5|keras)", re.IGNORECASE),
}
_TITLED = 4


@dataclass(frozen=True, slots=True)
class CheckpointSet:
    """What the files of one checkpoint hold; there may be just one."""

    files: Mapping[str, Checkpoint]
    """prefix -> what its file holds"""
    tensors: Mapping[str, Tensor]
    """of all files, flat: "G.conv.weight" """

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name -> shape."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    @property
    def title(self) -> str:
        """The files in the form that the command line takes: "G=latest_net_G.pth + E=latest_net_E.pth"."""
        shown = {prefix: printable(str(part.path), MOST_PATH) for prefix, part in self.files.items()}
        named = [f"{prefix}={path}" if prefix else path for prefix, path in shown.items()]
        more = [f"{len(named) - _TITLED} more files"] if len(named) > _TITLED else []
        return " + ".join(named[:_TITLED] + more)

    def records(self) -> tuple[str, ...]:
        """Return the classes that were met and not loaded, as the files name them."""
        return tuple(sorted({name for part in self.files.values() for name in part.records()}))


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one checkpoint."""

    files: Mapping[str, Path]
    """prefix -> path"""
    remarks: tuple[str, ...] = ()
    """what was taken of several, and how to import another; what was left out"""


def find_checkpoint(places: Sequence[str]) -> FoundFiles:
    """Return the files of one checkpoint.

    A place is a file, "PREFIX=file", or a folder, whose checkpoints are found by their suffix, `MOST_DEPTH` levels deep
    and without following links out of it; names that begin with a dot are passed over. Of what a training left there
    at several moments the newest is taken, of weights and their averages the averages.

    Raises UsageError for a place that is not there, a folder without checkpoints, with several trainings or with a link
    out of it, files of another framework, two files of one prefix, or more than can be one checkpoint.
    """
    files: dict[str, Path] = {}
    remarks: list[str] = []
    said = False
    for place in places:
        prefix, path = _split_label(place)
        said = said or prefix is not None
        for name, file in _found_at(path, remarks) if prefix is None else [(prefix, _existing_file(path))]:
            if name in files:
                raise _twice(name, files[name], file)
            files[name] = file
    _check_amount(files)
    if said or len(files) > 1:
        return FoundFiles(files, tuple(remarks))
    (alone,) = files.values()
    return FoundFiles({"": alone}, tuple(remarks))


def find_files(places: Sequence[str]) -> dict[str, Path]:
    """Return the files that `find_checkpoint` finds: prefix -> path. Raises as that does."""
    return dict(find_checkpoint(places).files)


def read_checkpoint_files(files: Mapping[str, Path]) -> CheckpointSet:
    """Read all files of a checkpoint (prefix -> path), executing nothing that they hold.

    Raises CheckpointError when one of them is hostile, damaged or of no format we read, and names it; and when two
    tensors come to one name.
    """
    from i2i_registry.checkpoints.reader import read_checkpoint  # noqa: PLC0415 - brings torch

    parts = {prefix: read_checkpoint(path) for prefix, path in files.items()}
    tensors: dict[str, Tensor] = {}
    for prefix, part in parts.items():
        for key, tensor in part.tensors.items():
            name = ".".join(filter(None, (prefix, key)))
            if name in tensors:
                raise CheckpointError(
                    found=f"{printable(str(part.path))} holds {printable(name)!r}, and so does another of the files",
                    expected="every tensor once",
                    fix="say what the files hold: G=FILE E=FILE",
                )
            tensors[name] = tensor
    return CheckpointSet(parts, tensors)


def _split_label(place: str) -> tuple[str | None, Path]:
    """Return the prefix that the user says, if any. A path with "=" in its name is a path if it is there."""
    match = _LABELLED.fullmatch(place)
    if match is None or Path(place).exists():
        return None, Path(place)
    return match[1], Path(match[2])


def _found_at(place: Path, remarks: list[str]) -> Iterator[tuple[str, Path]]:
    if not place.is_dir():
        file = _existing_file(place)
        _refuse_other_frameworks(place, [place.name])
        yield prefix_of(Path(place.name)), file
        return
    found = sorted(_scan(place))
    if not found:
        _refuse_other_frameworks(place, [entry.name for entry in _entries(place)])
        raise UsageError(
            found=f"there is no checkpoint in the folder {printable(str(place), MOST_PATH)}",
            expected="files that end in " + ", ".join(sorted(SUFFIXES)),
            fix="name the files themselves, if they end in something else",
        )
    # A training inside the folder that was given has the folder that all its files lie in.
    inside = Path(os.path.commonpath([file.parent for file in found]))
    choice = choose(inside, found)
    remarks += choice.remarks
    for file in choice.files:
        yield prefix_of(file.relative_to(inside)), file


def _refuse_other_frameworks(place: Path, names: Iterable[str]) -> None:
    """Raise UsageError when names of files are those of another framework's checkpoint."""
    for name in sorted(names):
        for framework, pattern in _OTHER_FRAMEWORKS.items():
            if pattern.fullmatch(name):
                raise UsageError(
                    found=f"{printable(str(place))} is a checkpoint of {framework} ({printable(name)})",
                    expected="a checkpoint of a PyTorch implementation",
                    fix="use weights of the paper's PyTorch release, or train them: i2i-registry train --help",
                )


def prefix_of(path: Path) -> str:
    """Return the prefix of a file, by its path inside the folder of the training."""
    if _NETWORKS.fullmatch(path.stem):
        return ""
    match = _NETWORK.fullmatch(path.stem)
    return match[1].removesuffix("_ema") if match else ".".join((*path.parent.parts, path.stem))


def _scan(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    waiting, looked_at = [(folder, 0)], 0
    while waiting:
        inside, depth = waiting.pop()
        for entry in _entries(inside):
            looked_at += 1
            if looked_at > MOST_ENTRIES:
                raise UsageError(f"{folder} holds more than {MOST_ENTRIES} files", "the folder of one checkpoint")
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting += [(path, depth + 1)] if depth < MOST_DEPTH else []
            elif path.suffix.lower() in SUFFIXES:
                yield _inside(root, path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            # One too many is enough to know, whatever the folder holds.
            return [entry for entry, _ in zip(entries, range(MOST_ENTRIES + 1), strict=False)]
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}", expected="a readable folder") from error


def _inside(root: Path, path: Path) -> Path:
    """Return the path, if it is a file below `root`, links resolved."""
    if _existing_file(path).resolve().is_relative_to(root):
        return path
    raise UsageError(
        found=f"{path} is a link out of the folder, to {path.resolve()}",
        expected="files that lie in the folder",
        fix="if you trust it, name the file itself",
    )


def _existing_file(path: Path) -> Path:
    if path.is_file():
        return path
    raise UsageError(
        found=f"{path} is no file" if path.exists() else f"{path} does not exist",
        expected="a checkpoint, or a folder of them",
        fix="i2i-registry import [MODEL] FILE_OR_FOLDER... --as NAME",
    )


def _check_amount(files: Mapping[str, Path]) -> None:
    total = sum(path.stat().st_size for path in files.values())
    if not 0 < len(files) <= MOST_FILES or total > MOST_BYTES:
        raise UsageError(
            found=f"{len(files)} files of {total / (1 << 30):.1f} GiB",
            expected=f"one checkpoint: 1 to {MOST_FILES} files, at most {MOST_BYTES >> 30} GiB",
            fix="name the files that belong together",
        )


def _twice(prefix: str, first: Path, second: Path) -> UsageError:
    what = f"the network {prefix}" if prefix else "several networks that they name themselves"
    return UsageError(
        found=f"{printable(str(first), MOST_PATH)} and {printable(str(second), MOST_PATH)} both hold {what}",
        expected="the files of one checkpoint, each network once",
        fix=f"name the files of one epoch; if they are different networks, say so: {prefix or 'G'}=FILE OTHER=FILE",
    )
