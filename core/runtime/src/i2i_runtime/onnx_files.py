"""What an .onnx file says about itself, read without onnx, without onnxruntime, and without its weights.

Needed before a session exists: a lone file's manifest is in its metadata, and a hostile file may name external data
anywhere on the disk. A protobuf message is a list of (field number, length, bytes), so both are found by skipping.
Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from i2i_runtime.errors import BundleError

_LENGTH_DELIMITED = 2
_SKIPPED_BYTES = {1: 8, 5: 4}
"""wire types of fixed size"""

# message -> {field number: message found there}; everything else is skipped.
_CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 14: "metadata", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """The metadata of a model, and the files its tensors lie in besides the .onnx itself."""

    metadata: Mapping[str, str]
    external: frozenset[str]
    """locations as the file states them, unchecked"""


def summarise(path: Path) -> OnnxSummary:
    """Read the metadata and the external data locations of an .onnx file.

    Raises BundleError when the file is not a well-formed protobuf message.
    """
    metadata: dict[str, str] = {}
    external: set[str] = set()
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for message, start, end in _messages(data):
                key, value = _entry(data, start, end)
                if message == "metadata":
                    metadata[key] = value
                elif key == "location":
                    external.add(value)
    except (ValueError, IndexError) as error:
        raise BundleError(found=f"{path} is not an .onnx file: {error}", expected="an ONNX model") from error
    except OSError as error:
        raise BundleError(found=f"{path} cannot be read: {error}") from error
    return OnnxSummary(metadata, frozenset(external))


def _messages(data: mmap.mmap) -> Iterator[tuple[str, int, int]]:
    """Every metadata and external data entry, as (kind, start, end)."""
    waiting = [("model", 0, len(data))]
    while waiting:
        message, start, end = waiting.pop()
        children = _CHILDREN.get(message)
        if children is None:
            yield message, start, end
            continue
        for number, first, last in _fields(data, start, end):
            if number in children:
                waiting.append((children[number], first, last))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message, as (field number, start, end)."""
    position = start
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            _, position = _varint(data, position)
        elif wire in _SKIPPED_BYTES:
            position += _SKIPPED_BYTES[wire]
        elif wire == _LENGTH_DELIMITED:
            length, position = _varint(data, position)
            if position + length > end:
                raise ValueError(f"a field at byte {position} ends behind its message")
            yield tag >> 3, position, position + length
            position += length
        else:
            raise ValueError(f"unknown wire type {wire} at byte {position}")


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that another byte follows
            return value, position
    raise ValueError(f"a number at byte {position} has no end")


def _entry(data: mmap.mmap, start: int, end: int) -> tuple[str, str]:
    """A StringStringEntryProto: key in field 1, value in field 2."""
    texts = {number: data[first:last].decode() for number, first, last in _fields(data, start, end)}
    return texts.get(1, ""), texts.get(2, "")
