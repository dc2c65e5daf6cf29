"""Safetensors files, read strictly: a header that lists the tensors, and their bytes, one behind the other.

The first 8 bytes are the header's length; the header is JSON, name -> {"dtype", "shape", "data_offsets"}, and
"__metadata__" -> texts by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from i2i_registry.checkpoints.limits import DamageError, shape_problem, whole_numbers
from i2i_runtime.type_guards import is_json_object
from i2i_runtime.untrusted_text import printable

MOST_HEADER_BYTES = 8 << 20
"""Ten thousand tensors need one megabyte."""
LENGTH_BYTES = 8

_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}
SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "C64": 8,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""dtype -> bytes of an element"""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """One tensor of the list."""

    dtype: str
    """one of `SIZES`"""
    shape: tuple[int, ...]
    start: int
    """where its bytes begin, behind the header"""
    end: int


@dataclass(frozen=True, slots=True)
class TensorList:
    """The header of a safetensors file. The tensors fill what follows."""

    entries: Mapping[str, TensorPlace]
    metadata: Mapping[str, str]
    data: int
    """where the header ends"""


def is_tensor_list(start: bytes, size: int) -> bool:
    """Whether a file of this size that begins so looks like safetensors."""
    return start[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and _length(start) <= size - LENGTH_BYTES


def read_list(file: BinaryIO, size: int) -> TensorList:
    """Return the header of a file of `size` bytes that is open at its beginning; nothing else is read.

    Raises DamageError for a header that is damaged, too large, names a tensor twice, or does not describe what follows.
    """
    start = file.read(LENGTH_BYTES)
    if len(start) < LENGTH_BYTES or _length(start) > size - LENGTH_BYTES:
        raise DamageError("it is shorter than the header that it should have")
    length = _length(start)
    if length > MOST_HEADER_BYTES:
        raise DamageError(f"its header has {length} bytes, and at most {MOST_HEADER_BYTES} are read")
    content = _parsed(file.read(length))
    metadata = content.pop(_METADATA, {})
    entries = {name: _entry(name, value) for name, value in content.items()}
    _check_places(entries, size - LENGTH_BYTES - length)
    return TensorList(entries, _texts(metadata), LENGTH_BYTES + length)


def _length(start: bytes) -> int:
    return int.from_bytes(start[:LENGTH_BYTES], "little")


def _parsed(header: bytes) -> dict[str, object]:
    if header[:1] != b"{":
        raise DamageError("its header is no JSON object")
    try:  # of an object, which is what begins with a brace
        content: dict[str, object] = json.loads(header.decode(), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise DamageError(f"its header is no JSON: {printable(str(error))}") from error
    return content


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise DamageError("its header has the same name twice")
    return values


def _texts(metadata: object) -> dict[str, str]:
    if is_json_object(metadata):
        texts = {name: text for name, text in metadata.items() if isinstance(text, str)}
        if len(texts) == len(metadata):
            return texts
    raise DamageError("its metadata are no texts by name")


def _entry(name: str, value: object) -> TensorPlace:
    shown = printable(name)
    fields = value if is_json_object(value) else {}
    if fields.keys() != _FIELDS:
        raise DamageError(f"the tensor {shown} has not the fields {', '.join(sorted(_FIELDS))}")
    dtype, shape, places = fields["dtype"], whole_numbers(fields["shape"]), whole_numbers(fields["data_offsets"])
    if not isinstance(dtype, str) or dtype not in SIZES:
        kind = printable(dtype) if isinstance(dtype, str) else "none"
        raise DamageError(f"the tensor {shown} is of the dtype {kind}, which is not read")
    if shape is None or places is None or len(places) != 2:  # noqa: PLR2004
        raise DamageError(f"the tensor {shown} has a shape or place that is none")
    if problem := shape_problem(shape):
        raise DamageError(f"the tensor {shown} {problem}")
    start, end = places
    if math.prod(shape) * SIZES[dtype] != end - start:
        raise DamageError(f"the tensor {shown} has {end - start} bytes, which {dtype} {list(shape)} has not")
    return TensorPlace(dtype, shape, start, end)


def _check_places(entries: Mapping[str, TensorPlace], available: int) -> None:
    """Raise DamageError unless the tensors fill the bytes behind the header, each its own."""
    filled = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != filled:
            raise DamageError(f"the tensor {printable(name)} does not begin where the one before it ends")
        filled = entry.end
    if filled != available:
        raise DamageError(f"its tensors have {filled} bytes, and {available} follow the header")
