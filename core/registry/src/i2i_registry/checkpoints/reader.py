"""Checkpoints of other people's code: read, named and shaped, and never executed.

Handles safetensors, the formats of torch.save (zip since 1.6, the stream before, the tar of the beginning), and plain
pickles, with state dicts or whole modules in them. All of them are parsed by `i2i_registry.checkpoints`; neither
torch.load nor Python's unpickler sees an external file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch

from i2i_registry.checkpoints import torch_files
from i2i_registry.checkpoints.limits import MOST_BYTES, MOST_STEPS, Allowance, DamageError
from i2i_registry.checkpoints.placeholders import PlaceholderName, PlaceholderObject
from i2i_registry.checkpoints.safetensors import is_tensor_list
from i2i_registry.checkpoints.storages import UnreadTensor
from i2i_registry.checkpoints.tensor_files import parse_tensors
from i2i_registry.errors import CheckpointError
from i2i_runtime.files.regular import read_regular
from i2i_runtime.type_guards import is_dict, is_list_or_tuple
from i2i_runtime.untrusted_text import printable

FileFormat = Literal["safetensors", torch_files.TorchFormat]

MOST_NESTING = 200
"""Containers inside of each other."""
MOST_NAMES = 64 << 20
"""Characters of the names of all tensors together."""
_VISITS_ALWAYS = 10_000
_VISITS_PER_STEP = 4
"""How many parts a walk may visit, against the steps that made them: a network may lie in several lists."""
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")

_START = 9
_MOST_PATH = 400
"""Characters of a path that a message shows."""
_REPR_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an external file holds. Its content is small enough to walk through; it may hold itself."""

    path: Path
    format: FileFormat
    sha256: str
    """of the bytes that were read"""
    content: object
    """dicts, lists, tensors, plain values, `PlaceholderObject`s and `PlaceholderName`s, nested as in the file"""
    tensors: Mapping[str, torch.Tensor]
    """flat: "generator.encode.0.weight"; the "module." that DataParallel adds is gone. Some may share memory."""

    def records(self) -> tuple[str, ...]:
        """Return the classes that were met and not loaded, as the file names them, made safe to print."""
        names = {printable(value.type_name) for _, value in _walk(self.content) if isinstance(value, PlaceholderObject)}
        return tuple(sorted(names))

    def outline(self) -> Iterator[str]:
        """Yield the content as indented lines, for people, safe to print."""
        for path, value in _walk(self.content):
            if path:
                yield f"{'  ' * (len(path) - 1)}{printable(path[-1])}  {describe(value)}"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read an external checkpoint on the CPU, once, executing nothing that it holds.

    Raises CheckpointError when it would run code (the offending name is told), is damaged, is of no format we read,
    holds a tensor that cannot be read (its name and the reason are told), or takes more than any checkpoint needs.
    """
    shown = printable(str(path), _MOST_PATH)
    try:
        content = _bytes_of(path)
        form, value, visits = _parsed(path, content)
        return Checkpoint(path, form, sha256(content).hexdigest(), value, _named_tensors(value, visits))
    except DamageError as error:
        raise CheckpointError(
            found=f"{shown} cannot be read: {error}",
            expected="safetensors, a file of torch.save, or a pickle of tensors",
            fix=error.fix,
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{shown}: {error.found}", error.expected, error.fix) from error
    except MemoryError as error:
        raise CheckpointError(
            found=f"{shown} cannot be read: there is not enough memory for it",
            expected="about twice its size of free memory",
            fix="close other programs, or read it on a larger machine",
        ) from error


def describe(value: object) -> str:
    """One value in a few words, safe to print: "float32 [64, 3]", "dict of 12", "networks.Generator (not loaded)"."""
    match value:
        case torch.Tensor():
            return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        case PlaceholderObject() | PlaceholderName():
            return f"{printable(value.type_name)} (not loaded)"
        case dict() | list() | tuple() | set() | frozenset():
            members: Sized = value
            return f"{type(value).__name__} of {len(members)}"
        case str() | bytes() | bytearray():
            return printable(repr(value[:_REPR_LENGTH])) + ("..." if len(value) > _REPR_LENGTH else "")
        case None | bool() | int() | float():
            return printable(str(value), _REPR_LENGTH)
        case _:
            return type(value).__name__


def _bytes_of(path: Path) -> bytearray:
    try:
        return read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: no path can be like that
        reason = error.strerror if isinstance(error, OSError) else None
        raise DamageError(reason or str(error), "name a file that you may read") from error


def _parsed(path: Path, content: bytearray) -> tuple[FileFormat, object, int]:
    """Return the format, the content, and how many of its parts a walk may visit."""
    is_list = is_tensor_list(bytes(content[:_START]), len(content))
    if not is_list:
        torch_files.refuse_others(content)
    if is_list or path.suffix == ".safetensors":
        tensors = parse_tensors(content)
        return "safetensors", tensors, len(tensors) + _VISITS_ALWAYS
    allowance = Allowance.of_file(len(content))
    form, value = torch_files.read_file(content, allowance)
    return form, value, (MOST_STEPS - allowance.steps) * _VISITS_PER_STEP + _VISITS_ALWAYS


def _named_tensors(content: object, visits: int) -> dict[str, torch.Tensor]:
    """All tensors by their names. `visits`: how many parts may be looked at; shared ones count each time."""
    tensors: dict[str, torch.Tensor] = {}
    letters = 0
    for keys, value in _walk(content, visits):
        if not isinstance(value, (torch.Tensor, UnreadTensor)):
            continue
        letters += sum(map(len, keys)) + len(keys)
        if letters > MOST_NAMES:
            raise DamageError(f"the names of its tensors have more than {MOST_NAMES} characters")
        name = ".".join(keys)
        if isinstance(value, UnreadTensor):
            raise DamageError(
                f"its tensor {printable(name)!r} {value.reason}",
                "fetch it again and compare its size; if that is right, save each tensor as a plain one: "
                "tensor.clone(), a sparse one as tensor.to_dense(), a quantised one as tensor.dequantize()",
            )
        if name in tensors:
            raise DamageError(f"two of its tensors come to the name {printable(name)!r}", "rename one where it is made")
        tensors[name] = value
    return tensors


@dataclass(slots=True)
class _Level:
    """A container on the way from the root to where a walk is."""

    path: tuple[str, ...]
    container: object
    left: Iterator[tuple[str, object]] = field(init=False)

    def __post_init__(self) -> None:
        self.left = _children(self.container)


def _walk(content: object, visits: int | None = None) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the content and everything in it with its path, each container before its content; cycles are cut.

    A part that is shared comes as often as it is found: with `visits`, no more parts than that are looked at. Nesting
    costs no stack. Raises DamageError beyond these limits.
    """
    yield (), content
    levels = [_Level((), content)]
    above = {id(content)}
    left = math.inf if visits is None else visits
    left -= _size(content)
    while levels:
        if left < 0 or len(levels) > MOST_NESTING:
            raise DamageError(
                "its parts are nested in each other without end", "save the state dict alone: plain names and tensors"
            )
        level = levels[-1]
        step = next(level.left, None)
        if step is None:
            above.discard(id(level.container))
            levels.pop()
            continue
        key, value = step
        if id(value) in above:
            continue
        path = (*level.path, key)
        yield path, value
        if isinstance(value, (dict, list, tuple, PlaceholderObject)):
            container: object = value
            left -= _size(container)
            above.add(id(container))
            levels.append(_Level(path, container))


def _size(container: object) -> int:
    """How many parts are looked at when a walk comes to a container."""
    if not isinstance(container, PlaceholderObject):
        return 1 + _length(container)
    state = container.state if is_dict(container.state) else {}
    parts = (container.state, container.items, container.args, container.values, *(state.get(p) for p in _MODULE_PARTS))
    return 1 + sum(map(_length, parts))


def _length(value: object) -> int:
    return len(value) if is_dict(value) or is_list_or_tuple(value) else 0


def _children(value: object) -> Iterator[tuple[str, object]]:
    if is_dict(value):
        yield from _items(value)
    elif is_list_or_tuple(value):
        yield from ((str(index), child) for index, child in enumerate(value))
    elif isinstance(value, PlaceholderObject):
        yield from _record_children(value)


def _items(mapping: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    # DataParallel puts "module." before every key; a network may have a part of that name among others.
    keys = [_key_in_words(key) for key in mapping]
    wrapped = bool(keys) and all(key.startswith("module.") for key in keys)
    for key, child in zip(keys, mapping.values(), strict=True):
        yield key.removeprefix("module.") if wrapped else key, child


def _key_in_words(key: object) -> str:
    plain = isinstance(key, (str, bytes, int, float, tuple, type(None)))
    return str(key) if plain else describe(key)  # pyright: ignore[reportUnknownArgumentType]


def _record_children(record: PlaceholderObject) -> Iterator[tuple[str, object]]:
    """Yield the parts of an object; of a torch module, those that its state dict would name."""
    if is_dict(record.state) and "_parameters" in record.state and "_modules" in record.state:
        yield from _module_children(record.state)
        return
    if isinstance(record.state, PlaceholderObject):
        yield "state", record.state
    else:
        yield from _children(record.state)
    yield from _items(record.items)
    yield from _children(record.args)
    yield from _children(record.values)


def _module_children(state: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    transient = state.get("_non_persistent_buffers_set")
    left_out = transient if isinstance(transient, (set, frozenset)) else frozenset[object]()
    for part in _MODULE_PARTS:
        content = state.get(part)
        if is_dict(content):
            for key, child in content.items():
                if child is not None and key not in left_out:
                    yield _key_in_words(key), child
