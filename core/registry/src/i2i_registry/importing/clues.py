"""What a release leaves beside its tensors, and what it tells of how they were trained.

Tensors do not show everything: not the slope of an activation, and often not what a network was trained for. Others
may: the user, the option file that the release writes beside a checkpoint, whole modules and options that were pickled
with the tensors, and the name of the folder. All of it is read as text and plain values; nothing of it is run.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_registry.checkpoints.placeholders import PlaceholderObject
from i2i_registry.interfaces.cards import ImportedFile
from i2i_registry.interfaces.official import Clues, PickledModule, ReleaseOptions
from i2i_runtime.files.regular import read_regular
from i2i_runtime.type_guards import is_dict, is_list_or_tuple
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from i2i_registry.importing.files import CheckpointSet

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


def gather_clues(checkpoint: CheckpointSet, option_files: Sequence[str], settings: Mapping[str, object]) -> Clues:
    """All clues that lie beside the tensors of a checkpoint. `option_files`: the names that the release gives them."""
    options: list[ReleaseOptions] = []
    parts: dict[str, PickledModule] = {}
    for prefix, file in checkpoint.files.items():
        for place, found in find_objects(file.content):
            name = ".".join(filter(None, (prefix, place)))
            if isinstance(found, PickledModule):
                parts[name] = replace(found, where=printable(file.path.name))
            else:
                options.append(ReleaseOptions(f"{printable(file.path.name)}'s options", found))
    folder, read = _folder(checkpoint), list[ImportedFile]()
    for path in _beside(checkpoint, folder, option_files):
        content = _small_file(path)
        if content is not None:
            options.append(ReleaseOptions(path.name, parse_options(content.decode("utf-8", errors="replace"))))
            read.append(ImportedFile(name=path.name, sha256=sha256(content).hexdigest()))
    return Clues(settings, tuple(options), parts, printable(folder.name), tuple(read))


def parse_options(text: str) -> dict[str, str]:
    """Return the options in a text, name -> value as it is written; lines of no known form are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match:
            found[match[1]] = printable(match[2].partition(_DEFAULT)[0].strip())
    return found


def _folder(checkpoint: CheckpointSet) -> Path:
    """Return the folder that all files lie in."""
    return Path(os.path.commonpath([file.path.resolve().parent for file in checkpoint.files.values()]))


def _beside(checkpoint: CheckpointSet, folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Where option files may lie: in the folder of all files, and beside each of them."""
    places = dict.fromkeys((folder, *(file.path.resolve().parent for file in checkpoint.files.values())))
    return (place / name for place in places for name in names)


def _small_file(path: Path) -> bytes | None:
    """Return the content of a file as small as an option file; None where there is none, or a link."""
    if path.is_symlink():
        return None
    try:
        return bytes(read_regular(path, MOST_OPTION_BYTES))
    except OSError:
        return None


def find_objects(content: object) -> Iterator[tuple[str, PickledModule | dict[str, str]]]:
    """Yield the modules and the options in what a file holds, each once, with their places.

    `MOST_OBJECTS` are looked at.
    """
    waiting, seen = deque([("", content)]), set[int]()
    while waiting and len(seen) < MOST_OBJECTS:
        place, value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        inside: Iterable[tuple[object, object]] = ()
        if isinstance(value, PlaceholderObject):
            state = value.state if is_dict(value.state) else {}
            if value.type_name in _NAMESPACES:
                yield place, _plain_text(state)
                continue
            yield place, PickledModule(value.type_name, _plain_values(state), "")
            modules = state.get("_modules")
            inside = (*state.items(), *(modules.items() if isinstance(modules, dict) else ()))
        elif is_dict(value):
            inside = value.items()
        elif is_list_or_tuple(value):
            inside = enumerate(value)
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
