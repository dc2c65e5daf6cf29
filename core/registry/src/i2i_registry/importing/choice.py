"""Which of the files in the folder of a training are one checkpoint, and what is said of the others.

A trainer leaves more than one: the networks of the last epoch beside those of earlier ones, averages beside the weights
that they are of, the state of optimizers. The newest and the averages are taken, and told with the command for another;
where nothing says which is meant, the error lists the command for each.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_runtime.errors import UsageError
from i2i_runtime.untrusted_text import printable

_MOMENT = re.compile(
    r"(?:^|(?<=[_\-.=]))(latest|newest|last|final|best|(?:epoch|iter|step|ep)?[_=-]?\d+(?:-step=\d+)?)(?=[_\-.]|$)",
    re.IGNORECASE,
)
"""What tells one moment of a training from another in the name of a file: "latest", "0075000", "epoch_10", and as
Lightning writes it "epoch=3-step=1000"."""
_NAMED_MOMENTS = ("best", "final", "last", "newest", "latest")
"""The later, the rather taken."""
_OPTIMIZER = re.compile(r"(?:.*[_\-.])?optim(?:s|izers?|_\w+)?", re.IGNORECASE)
_AVERAGED = re.compile(r"(.+)[_\-.]ema", re.IGNORECASE)
_SHOWN_MOMENTS = 6
_SHOWN_FILES = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of one checkpoint, and what a person should know of those that are not taken."""

    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


def choose(inside: Path, found: Sequence[Path]) -> Choice:
    """One checkpoint of all that were found in a folder; `inside` is the folder that all of them lie in.

    Raises UsageError with the command for each, when they are of several trainings.
    """
    _refuse_several_trainings(inside, found)
    remarks: list[str] = []
    files = _without_optimizers(found, remarks)
    raw = _raw_of_averages(files)
    files = _of_one_moment(inside, [file for file in files if file not in raw.values()], remarks)
    _refuse_several_releases(files)
    if any(file in raw for file in files):
        remarks.append(f"taken: the averages (ema); without: {command(raw.get(file, file) for file in files)}")
    return Choice(tuple(files), tuple(remarks))


def command(files: Iterable[Path | str]) -> str:
    """Return the command that imports these files or folders, for a shell."""
    return f"i2i-registry import {' '.join(printable(shlex.quote(str(file)), 400) for file in files)} --as NAME"


def _refuse_several_trainings(inside: Path, found: Sequence[Path]) -> None:
    """Folders beside each other that hold files of the same names are trainings; numbered ones are stages of one."""
    below: dict[str, set[str]] = defaultdict(set)
    beside = [file for file in found if file.parent == inside]
    for file in found:
        first, *others = file.relative_to(inside).parts
        if others:
            below[first].add("/".join(_MOMENT.sub("*", part, count=1) for part in others))
    trainings = [name for name in sorted(below) if not name.isdecimal()]
    shared = any(below[a] & below[b] for a in trainings for b in trainings if a < b)
    if len(trainings) > 1 and (shared or not beside):
        raise UsageError(
            found=f"{printable(str(inside))} holds {len(trainings)} trainings: {printable(', '.join(trainings))}",
            expected="the folder of one training",
            fix=" or ".join(command([inside / name, *beside]) for name in trainings[:_SHOWN_FILES]),
        )


def _refuse_several_releases(files: Sequence[Path]) -> None:
    """Files of one network that are called otherwise ("edges2shoes_net_G", "edges2bags_net_G") are of two releases."""
    releases: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in files:
        release, network, name = file.stem.rpartition("_net_")
        if network:
            releases[release][name] = file
    groups = list(releases.values())
    if any(groups[0].keys() & group.keys() for group in groups[1:]):
        raise UsageError(
            found=f"networks of {len(groups)} releases: {printable(', '.join(releases))}",
            expected="the files of one checkpoint, each network once",
            fix=" or ".join(command(group.values()) for group in groups[:_SHOWN_FILES]),
        )


def _without_optimizers(files: Sequence[Path], remarks: list[str]) -> list[Path]:
    states = [file for file in files if _OPTIMIZER.fullmatch(_stem(file))]
    if not states or len(states) == len(files):
        return list(files)
    remarks.append(f"left out: {_names(states)}, the state of optimizers, which is needed to go on training only")
    return [file for file in files if file not in states]


def _of_one_moment(inside: Path, files: Sequence[Path], remarks: list[str]) -> list[Path]:
    """Of each network the file of one moment: the one that most networks have, of those the newest."""
    series: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    always: list[Path] = []
    for file in files:
        match = _MOMENT.search(file.name)
        if match is None:
            always.append(file)
            continue
        stages = tuple(part for part in file.relative_to(inside).parts[:-1] if part.isdecimal())
        name = file.name[: match.start()] + "*" + file.name[match.end() :]
        series[*stages, name].setdefault(match[1].lower(), file)
    moments = sorted({moment for each in series.values() for moment in each}, key=_newness, reverse=True)
    if all(len(each) == 1 for each in series.values()):
        return list(files)
    at = {moment: [each[moment] for each in series.values() if moment in each] for moment in moments}
    taken, other = sorted(moments, key=lambda moment: (len(at[moment]), _newness(moment)), reverse=True)[:2]
    shown = ", ".join(moments[:_SHOWN_MOMENTS]) + (", ..." if len(moments) > _SHOWN_MOMENTS else "")
    whole = len(at[other]) == len(at[taken])
    remarks.append(f"taken: {taken}, of {shown}" + (f"; another: {command([*at[other], *always])}" if whole else ""))
    return sorted([*always, *at[taken]])


def _newness(moment: str) -> tuple[int, ...]:
    if moment in _NAMED_MOMENTS:
        return 1, _NAMED_MOMENTS.index(moment)
    return 0, *map(int, re.findall(r"\d+", moment))


def _raw_of_averages(files: Sequence[Path]) -> dict[Path, Path]:
    """Averages -> the weights that they are of, where both are there."""
    stems = {(file.parent, _stem(file)): file for file in files}
    found: dict[Path, Path] = {}
    for (parent, stem), file in stems.items():
        match = _AVERAGED.fullmatch(stem)
        if match and (parent, match[1]) in stems:
            found[file] = stems[parent, match[1]]
    return found


def _stem(file: Path) -> str:
    return file.name.partition(".")[0] if file.name.endswith(".pth.tar") else file.stem


def _names(files: Sequence[Path]) -> str:
    more = f" and {len(files) - _SHOWN_FILES} more" if len(files) > _SHOWN_FILES else ""
    return printable(", ".join(file.name for file in files[:_SHOWN_FILES])) + more
