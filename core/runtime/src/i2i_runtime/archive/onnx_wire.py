"""The encoding of protobuf, read strictly: every byte has one meaning, and it is the one that onnxruntime sees.

Protobuf's own readers forgive much: numbers in more bytes than they need, field numbers that wrap around at 32 bits,
groups, unknown fields, one field twice. A scanner that reads any of these otherwise than onnxruntime does sees another
file. So all of it is refused here; no writer makes any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from i2i_runtime.archive.onnx_schema import FIXED32, FIXED64, LENGTH, VARINT, Field

MAX_FIELDS = 300_000
"""Fields of a whole file. A large network has some ten thousand."""

_WIDTHS = {FIXED64: 8, FIXED32: 4}
_MORE, _TAG_BITS = 0x80, 3
_MAX_FIELD_NUMBER = 2**29 - 1
_MAX_VARINT, _MAX_SHIFT = 2**64, 70


class MalformedError(ValueError):
    """The bytes are no strict encoding of the message. Becomes a BundleError that names the file."""


class Found(NamedTuple):
    """One field of a message in the data: a number, or the bytes from `start` to `end`."""

    number: int
    wire: int
    start: int
    end: int
    value: int = 0
    """of a varint"""


class Reader:
    """Reads the fields of messages in `data`, and counts them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MAX_FIELDS

    def fields(self, message: str, known: Mapping[int, Field], start: int, end: int) -> list[Found]:
        """Return the fields of one message, in their order.

        Raises MalformedError for what is no strict encoding of it, and when the file has more than MAX_FIELDS fields.
        """
        found: list[Found] = []
        single: set[int] = set()
        data, position = self.data, start
        while position < end:
            at, tag = position, data[position]
            position += 1
            if tag >= _MORE:
                tag, position = self.varint(at, end)
            number, wire = tag >> _TAG_BITS, tag & 7
            field = known.get(number)
            if field is None:
                what = "an unknown field" if 0 < number <= _MAX_FIELD_NUMBER else "an impossible field"
                raise MalformedError(f"{message} has {what}, {number}, at byte {at}")
            if wire not in field.wires:
                raise MalformedError(f"field {number} of {message} at byte {at} has the wire type {wire}")
            if not field.repeated:
                if number in single:
                    raise MalformedError(f"field {number} of {message} at byte {at} is there twice")
                single.add(number)
            entry = self._value(number, wire, position, end)
            found.append(entry)
            position = entry.end
            if len(found) > self._left:
                raise MalformedError(f"it has more than {MAX_FIELDS:,} fields")
        self._left -= len(found)
        return found

    def _value(self, number: int, wire: int, position: int, end: int) -> Found:
        length = _WIDTHS.get(wire, 0)
        if wire == VARINT:
            value, after = self.varint(position, end)
            return Found(number, wire, position, after, value)
        if wire == LENGTH:
            length, position = self.varint(position, end)
        if length > end - position:
            raise MalformedError(f"field {number} at byte {position} ends behind its message")
        return Found(number, wire, position, position + length)

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """Return the number at `position`, in as few bytes as it needs, and the position after it."""
        data, value, shift = self.data, 0, 0
        while position < end:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < _MORE:
                if (byte == 0 and shift) or value >= _MAX_VARINT:
                    raise MalformedError(f"a number before byte {position} is written in more bytes than it needs")
                return value, position
            shift += 7
            if shift >= _MAX_SHIFT:
                break
        raise MalformedError(f"a number before byte {position} has no end")

    def numbers(self, entry: Found) -> list[int]:
        """Return the values of a repeated varint field: packed ones, or the one."""
        if entry.wire != LENGTH:
            return [entry.value]
        values: list[int] = []
        position = entry.start
        while position < entry.end:
            value, position = self.varint(position, entry.end)
            values.append(value)
        return values
