"""Checkpoints of other people's code: read, named and shaped, and never executed.

Handles safetensors, both formats of torch.save (zip since 1.6, and the older one), and plain pickles, with state dicts
or whole modules in them. This file and `i2i_registry.inert` are the only ones that may unpickle anything.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from i2i_registry import inert
from i2i_registry.errors import CheckpointError
from i2i_registry.inert import InertRecord
from i2i_registry.tensorfile import read_tensors

Format = Literal["safetensors", "torch", "torch (before 1.6)", "pickle"]

# Whatever torch and pickle raise when a file is cut short or is something else.
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    ImportError,
)
_PICKLE_STARTS = b"\x80(]}c"
"""since protocol 2; the older ones begin with a mark, a list, a dict or a class"""
_HEADER_BYTES = 9
_REPR_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a foreign file holds."""

    path: Path
    format: Format
    content: object
    """dicts, lists, tensors, plain values and `InertRecord`s, nested as in the file"""
    tensors: Mapping[str, torch.Tensor]
    """flat: "generator.encode.0.weight"; the "module." that DataParallel adds is gone"""

    def records(self) -> tuple[str, ...]:
        """The classes that were met and not loaded, as the file names them."""
        names = {type(value).type_name for _, value in _walk(self.content) if isinstance(value, InertRecord)}
        return tuple(sorted(names))

    def outline(self) -> Iterator[str]:
        """The content as indented lines, for people."""
        for path, value in _walk(self.content):
            if path:
                yield f"{'  ' * (len(path) - 1)}{path[-1]}  {describe(value)}"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a foreign checkpoint on the CPU, executing nothing that it holds.

    Raises CheckpointError when it would run code (the offending name is told), is damaged, or is of no format we read.
    """
    form = _format_of(path)
    if form == "safetensors":
        content: object = read_tensors(path)
    else:
        content = _read_torch(path, form)
    return Checkpoint(path, form, content, _named_tensors(path, content))


def describe(value: object) -> str:
    """One value in a few words: "float32 [64, 3, 7, 7]", "dict of 12", "networks.Generator (not loaded)"."""
    match value:
        case torch.Tensor():
            return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        case InertRecord():
            return f"{type(value).type_name} (not loaded)"
        case dict() | list() | tuple():
            return f"{type(value).__name__} of {len(value)}"
        case _:
            text = repr(value)
            return text if len(text) <= _REPR_LENGTH else text[:_REPR_LENGTH] + "..."


def _named_tensors(path: Path, content: object) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for keys, value in _walk(content):
        if isinstance(value, torch.Tensor):
            name = ".".join(keys)
            if name in tensors:
                raise _unreadable(path, f"two of its tensors come to the name {name!r}")
            tensors[name] = value.detach()
    return tensors


def _format_of(path: Path) -> Format:
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        if zipfile.is_zipfile(path):
            return _zip_format(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, str(error)) from error
    if start[8:9] == b"{":
        return "safetensors"
    if not start:
        raise _unreadable(path, "it is empty")
    if start.startswith(b"PK"):
        raise _unreadable(path, "it is a zip archive whose end is missing")
    if start[0] not in _PICKLE_STARTS:
        raise _unreadable(path, f"it begins with {start!r}, as no checkpoint does")
    # A file of the older torch.save begins with a pickled number, any other pickle with what it holds.
    return "torch (before 1.6)" if start[:3] == b"\x80\x02\x8a" else "pickle"


def _zip_format(path: Path) -> Format:
    with zipfile.ZipFile(path) as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
    if "constants.pkl" in names:
        raise CheckpointError(
            found=f"{path} is a TorchScript archive: a program, not a checkpoint",
            expected="a file of torch.save, or safetensors",
            fix="save the state dict: torch.save(module.state_dict(), ...)",
        )
    if "data.pkl" not in names:
        raise _unreadable(path, "it is a zip archive without a checkpoint in it")
    return "torch"


def _read_torch(path: Path, form: Format) -> object:
    """torch's own restricted reader first, which knows every tensor type; ours for files with whole objects."""
    with warnings.catch_warnings():
        # torch warns about classes whose source it cannot compare; they are records here.
        warnings.simplefilter("ignore")
        if form != "pickle":
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=form == "torch")  # noqa: TID251
            except _DAMAGE:
                pass  # the second reader says what is wrong with the file
        try:
            if form == "pickle":
                with path.open("rb") as file:
                    return inert.load(file)
            # From memory, so that torch does not try its tar format, which unpacks files as it reads.
            return inert.load_torch(io.BytesIO(path.read_bytes()))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.found}", error.expected, error.fix) from error
        except _DAMAGE as error:
            raise _unreadable(path, str(error) or type(error).__name__) from error


def _walk(
    value: object, path: tuple[str, ...] = (), above: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """The value and everything in it with its path, each container before its content; cycles are cut."""
    if id(value) in above:
        return
    yield path, value
    above |= {id(value)}
    for key, child in _children(value):
        yield from _walk(child, (*path, key), above)


def _children(value: object) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            yield from _items(value)
        case list() | tuple():
            yield from ((str(index), child) for index, child in enumerate(value))
        case InertRecord():
            yield from _record_children(value)
        case _:
            return


def _items(mapping: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    # DataParallel puts "module." before every key; a network may have a part of that name among others.
    keys = [str(key) for key in mapping]
    wrapped = bool(keys) and all(key.startswith("module.") for key in keys)
    for key, child in zip(keys, mapping.values(), strict=True):
        yield key.removeprefix("module.") if wrapped else key, child


def _record_children(record: InertRecord) -> Iterator[tuple[str, object]]:
    """The parts of an object; of a torch module, those that its state dict would name."""
    state = record.state
    if isinstance(state, dict) and "_parameters" in state and "_modules" in state:
        transient = state.get("_non_persistent_buffers_set", ())
        left_out = transient if isinstance(transient, (set, frozenset, list, tuple)) else ()
        for part in ("_parameters", "_buffers", "_modules"):
            content = state.get(part)
            if isinstance(content, dict):
                named = {str(key): child for key, child in content.items() if child is not None}
                yield from ((key, child) for key, child in named.items() if key not in left_out)
        return
    yield from _children(state)
    yield from _items(record.items)
    yield from _children(list(record.args))
    yield from _children(record.values)


def _unreadable(path: Path, reason: str) -> CheckpointError:
    lines = reason.strip().splitlines()
    return CheckpointError(
        found=f"{path} cannot be read: {lines[0] if lines else 'it is damaged'}",
        expected="safetensors, a file of torch.save, or a pickle of tensors",
        fix="the download may be incomplete: fetch it again and compare its size",
    )
