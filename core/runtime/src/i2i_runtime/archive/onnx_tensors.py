"""How large a stored tensor says it is, against the bytes that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from i2i_runtime.archive.onnx_schema import LENGTH
from i2i_runtime.archive.onnx_wire import Found, MalformedError, Reader

MAX_RANK = 32
"""dimensions of a tensor; networks have up to six"""

EXTERNAL_DATA = 13
"""field of a TensorProto: where its values lie outside the file"""

_DIMS, _TYPE, _SEGMENT, _RAW, _LOCATION = 1, 2, 3, 9, 14
_FLOAT, _INT32, _TEXT, _INT64, _DOUBLE, _UINT64 = 4, 5, 6, 7, 10, 11
_STORES = (_FLOAT, _INT32, _TEXT, _INT64, _DOUBLE, _UINT64)
_FIXED = {_FLOAT: 4, _DOUBLE: 8}
"""bytes of a packed value"""
_PARTS_OF_VARINTS = bytes(range(0x80, 0x100))
"""bytes after which a varint goes on; all others end one"""


@dataclass(frozen=True, slots=True)
class _Type:
    bits: int
    """of one value in raw_data; 0: has none there"""
    store: int
    """the field that holds values which are not raw"""
    per_value: int = 1
    """entries of that field for one value"""
    per_entry: int = 1
    """values in one entry of that field"""


# TensorProto.DataType -> how it is stored. Whatever is missing here is refused.
_TYPES: Mapping[int, _Type] = {
    1: _Type(32, _FLOAT),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), _Type(8, _INT32)),
    **dict.fromkeys((4, 5, 10, 16), _Type(16, _INT32)),
    6: _Type(32, _INT32),
    7: _Type(64, _INT64),
    8: _Type(0, _TEXT),
    11: _Type(64, _DOUBLE),
    12: _Type(32, _UINT64),
    13: _Type(64, _UINT64),
    14: _Type(64, _FLOAT, per_value=2),
    15: _Type(128, _DOUBLE, per_value=2),
    **dict.fromkeys((21, 22, 23), _Type(4, _INT32, per_entry=2)),
    **dict.fromkeys((25, 26), _Type(2, _INT32, per_entry=4)),
}


def is_external(fields: Sequence[Found]) -> bool:
    """Whether the values of a TensorProto lie, or may lie, somewhere else than in it."""
    return any(found.number == EXTERNAL_DATA or (found.number == _LOCATION and found.value != 0) for found in fields)


def check_size(reader: Reader, fields: Sequence[Found]) -> None:
    """Raise MalformedError for a TensorProto that holds more or fewer values than its dimensions multiply to."""
    lengths = [found for found in fields if found.number == _DIMS]
    if sum(_entries(reader, found) for found in lengths) > MAX_RANK:
        raise MalformedError(f"a tensor has more than {MAX_RANK} dimensions")
    dims = [number for found in lengths for number in reader.numbers(found)]
    values = 1
    for length in dims:
        values *= length
    kind = _TYPES.get(next((found.value for found in fields if found.number == _TYPE), 0))
    if kind is None:
        raise MalformedError("a tensor is of an unknown type")
    if any(found.number == _SEGMENT for found in fields):
        raise MalformedError("a tensor is stored in segments")
    raw = next((found.end - found.start for found in fields if found.number == _RAW), None)
    stored = [number for number in _STORES if any(found.number == number for found in fields)]
    if raw is not None and stored:
        raise MalformedError("a tensor has its values twice")
    if raw is not None:
        wanted, given, unit = -(-values * kind.bits // 8), raw, "bytes"
    else:
        wanted, unit = -(-values * kind.per_value // kind.per_entry), "entries"
        given = sum(_entries(reader, found) for found in fields if found.number == kind.store)
        if stored not in ([], [kind.store]):
            raise MalformedError("a tensor has values of another type than its own")
    if wanted != given:
        raise MalformedError(f"a tensor of the dimensions {dims} has {given} {unit} of {wanted}")


def _entries(reader: Reader, found: Found) -> int:
    """How many values a field of numbers or texts has, without decoding them."""
    if found.number == _TEXT or found.wire != LENGTH:
        return 1
    width = _FIXED.get(found.number)
    if width is not None:
        return (found.end - found.start) // width
    return len(reader.data[found.start : found.end].translate(None, _PARTS_OF_VARINTS))
