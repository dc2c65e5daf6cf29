"""What a release leaves beside its tensors, and what it tells of how they were trained.

Tensors do not show everything: not the slope of an activation, and often not what a network was trained for. Others
may: the user, the option file that the release writes beside a checkpoint, whole modules and options that were pickled
with the tensors, and the name of the folder. All of it is read as text and plain values; nothing of it is run.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic import TypeAdapter

from i2i_registry.checkpoints.placeholders import PlaceholderObject
from i2i_registry.interfaces.cards import ImportedFile, Settled
from i2i_runtime.files.regular import read_regular
from i2i_runtime.schema.operations import Record
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from i2i_registry.importing.files import CheckpointSet

T = TypeVar("T")

MOST_OPTION_BYTES = 64 << 10
"""An option file that is larger is no option file."""
MOST_OBJECTS = 100_000
"""How many objects of the files' contents are looked into."""

_LINE = re.compile(r"[ \t]*(\w{1,80})(?:\t-\t|:(?:[ \t]|$))(.*)")
""""name: value" of junyanz's releases, "name<tab>-<tab>value" of ConSinGAN."""
_DEFAULT = "\t[default:"
_PLAIN = (str, int, float, bool)
_MOST_BITS = 63
_NAMESPACES = frozenset({"argparse.Namespace", "types.SimpleNamespace"})


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a training, as one witness has them."""

    where: str
    """"parameters.txt", "G.pth's options" """
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A module that was pickled whole: its class, by name only, and those of its attributes that are plain values."""

    kind: str
    """"torch.nn.modules.activation.LeakyReLU" """
    values: Mapping[str, object]
    where: str
    """the name of its file"""


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """A value, and who says so."""

    value: T
    by: str
    """"parameters.txt: activation = elu" """


@dataclass(frozen=True, slots=True)
class Clues:
    """Everything beside the tensors that may tell a Config; empty where there is nothing."""

    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """fields of the Config that the user sets; each fits its field"""
    options: tuple[Options, ...] = ()
    """options that were pickled with the tensors come before those of option files"""
    parts: Mapping[str, Part] = field(default_factory=dict[str, Part])
    """place -> module, places named as in the tensors: "G.head.lrelu" """
    folder: str = ""
    """name of the folder that all files lie in"""
    read: tuple[ImportedFile, ...] = ()
    """the option files"""
    remarks: tuple[str, ...] = ()
    """what a person should know about the clues: those that were not used, and why"""

    def believed(self, shown: Mapping[str, Collection[object]]) -> Clues:
        """The clues without options that contradict the tensors, which are those of another training.

        `shown`: option -> the values that the tensors leave possible.
        """
        options: list[Options] = []
        remarks = list(self.remarks)
        for each in self.options:
            wrong = [name for name, values in shown.items() if name in each.values and not _allows(each, name, values)]
            if wrong:
                value = each.values[wrong[0]]
                remarks.append(f"{each.where} not used: {wrong[0]} = {value} there, and the tensors show another")
            else:
                options.append(each)
        return replace(self, options=tuple(options), remarks=tuple(remarks))

    def option(self, name: str, kind: TypeAdapter[T]) -> list[Said[T]]:
        """What the options say under a name, as a `kind`; values that are none are passed over."""
        found: list[Said[T]] = []
        for each in self.options:
            if name in each.values:
                text = each.values[name]
                try:
                    value = kind.validate_python(text)
                except ValueError:
                    continue
                found.append(Said(value, f"{each.where}: {name} = {text}"))
        return found

    def parts_at(self, place: str) -> Iterator[Part]:
        """The modules whose whole place matches a regular expression."""
        return (part for name, part in self.parts.items() if re.fullmatch(place, name))


@dataclass(frozen=True, slots=True)
class Inferred:
    """The Config of a checkpoint, and how the fields that its tensors do not show were settled."""

    config: Record
    settled: tuple[Settled, ...] = ()
    remarks: tuple[str, ...] = ()


class Findings:
    """Settles the fields that tensors do not show, one by one, and keeps who said what."""

    def __init__(self, clues: Clues) -> None:
        self._clues = clues
        self._settled: dict[str, Settled] = {}
        self._remarks = list(clues.remarks)

    def settle(self, name: str, said: Sequence[Said[T]], otherwise: T) -> T:
        """The value of a field: what the user says, else the first that is said, else what is taken for granted."""
        if name in self._clues.settings:
            said = [Said(cast("T", self._clues.settings[name]), f"--set {name}"), *said]
        if not said:
            self._settled[name] = Settled(field=name, value=otherwise)
            return otherwise
        first, *others = said
        different = [each for each in others if each.value != first.value]
        if different:
            self._remarks.append(f"not used: {different[0].by} (against {first.by})")
        self._settled[name] = Settled(field=name, value=first.value, by=first.by)
        return first.value

    def remark(self, sentence: str) -> None:
        """Keep something else that a person should know."""
        self._remarks.append(sentence)

    def inferred(self, config: Record) -> Inferred:
        """The Config that was made of the fields, with all that was kept."""
        return Inferred(config, tuple(self._settled.values()), tuple(self._remarks))


def gather(checkpoint: CheckpointSet, option_files: Sequence[str], settings: Mapping[str, object]) -> Clues:
    """All clues that lie beside the tensors of a checkpoint. `option_files`: the names that the release gives them."""
    options: list[Options] = []
    parts: dict[str, Part] = {}
    for prefix, file in checkpoint.files.items():
        for place, found in find_objects(file.content):
            name = ".".join(filter(None, (prefix, place)))
            if isinstance(found, Part):
                parts[name] = replace(found, where=printable(file.path.name))
            else:
                options.append(Options(f"{printable(file.path.name)}'s options", found))
    folder, read = _folder(checkpoint), list[ImportedFile]()
    for path in _beside(checkpoint, folder, option_files):
        content = _small_file(path)
        if content is not None:
            options.append(Options(path.name, parse_options(content.decode("utf-8", errors="replace"))))
            read.append(ImportedFile(name=path.name, sha256=sha256(content).hexdigest()))
    return Clues(settings, tuple(options), parts, printable(folder.name), tuple(read))


def parse_options(text: str) -> dict[str, str]:
    """The options in a text, name -> value as it is written; lines of no known form are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match:
            found[match[1]] = printable(match[2].partition(_DEFAULT)[0].strip())
    return found


def _allows(options: Options, name: str, values: Iterable[object]) -> bool:
    """Whether what is written is one of the values: 0, 0.0 and False are the same."""
    text = options.values[name]
    for value in values:
        try:
            same = text == value if isinstance(value, str) else TypeAdapter(type(value)).validate_python(text) == value
        except ValueError:
            continue
        if same:
            return True
    return False


def _folder(checkpoint: CheckpointSet) -> Path:
    """The folder that all files lie in."""
    return Path(os.path.commonpath([file.path.resolve().parent for file in checkpoint.files.values()]))


def _beside(checkpoint: CheckpointSet, folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Where option files may lie: in the folder of all files, and beside each of them."""
    places = dict.fromkeys((folder, *(file.path.resolve().parent for file in checkpoint.files.values())))
    return (place / name for place in places for name in names)


def _small_file(path: Path) -> bytes | None:
    """The content of a file of the size of an option file; None where there is none, or a link, which may lead away."""
    if path.is_symlink():
        return None
    try:
        return bytes(read_regular(path, MOST_OPTION_BYTES))
    except OSError:
        return None


def find_objects(content: object) -> Iterator[tuple[str, Part | dict[str, str]]]:
    """The modules and the options in what a file holds, each once, with their places; `MOST_OBJECTS` are looked at."""
    waiting, seen = deque([("", content)]), set[int]()
    while waiting and len(seen) < MOST_OBJECTS:
        place, value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        inside: Iterable[tuple[object, object]] = ()
        if isinstance(value, PlaceholderObject):
            state = cast("Mapping[object, object]", value.state) if isinstance(value.state, dict) else {}
            if value.type_name in _NAMESPACES:
                yield place, _plain_text(state)
                continue
            yield place, Part(value.type_name, _plain_values(state), "")
            modules = state.get("_modules")
            inside = (*state.items(), *(modules.items() if isinstance(modules, dict) else ()))
        elif isinstance(value, dict):
            inside = cast("Mapping[object, object]", value).items()
        elif isinstance(value, (list, tuple)):
            inside = enumerate(cast("Sequence[object]", value))
        for key, child in inside:
            if key != "_modules" and isinstance(child, (PlaceholderObject, dict, list, tuple)):
                waiting.append((f"{place}.{key}" if place else str(key), child))


def _plain_values(state: Mapping[object, object]) -> dict[str, object]:
    return {key: value for key, value in state.items() if isinstance(key, str) and _is_plain(value)}


def _is_plain(value: object) -> bool:
    # Python refuses to write out whole numbers of thousands of digits, and no option has one.
    return isinstance(value, _PLAIN) and not (isinstance(value, int) and abs(value) >> _MOST_BITS)


def _plain_text(state: Mapping[object, object]) -> dict[str, str]:
    return {key: printable(str(value)) for key, value in _plain_values(state).items()}
