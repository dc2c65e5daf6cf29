"""Zip archives, read so strictly that there is one reading only.

Two readers of one lenient zip may see different members. Here the members must fill the file from its first byte to the
directory, each once and without a gap, the directory must be followed by one end record, and that by nothing; what the
directory says and what stands before each member must be the same. Members are stored or deflated, as torch and the
usual tools write them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from i2i_registry.checkpoints.limits import Allowance, DamageError
from i2i_runtime.untrusted_text import printable

MOST_MEMBERS = 100_000
START = b"PK\x03\x04"

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_DESCRIPTORS = (struct.Struct("<4s3I"), struct.Struct("<4sI2Q"))
_END = struct.Struct("<4s4H2IH")
_LARGE_END = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")

_PACK_AGAIN = "unpack it, and zip the folder again: stored or deflated, in one part, without password and comment"

_STORED, _DEFLATED = 0, 8
_FLAG_DESCRIPTOR = 1 << 3
_FLAGS_ALLOWED = 0b110 | _FLAG_DESCRIPTOR | 1 << 11
"""how hard it was deflated; sizes follow the member; its name is UTF-8"""
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_MOST_COMMENT = _FULL_16
_EXTRA_SIZES, _EXTRA_OTHER_NAME = 0x0001, 0x7075


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    method: int
    crc: int
    packed: int
    """bytes in the archive"""
    size: int
    """bytes when unpacked"""
    header: int
    """where its header begins"""
    start: int = 0
    """where its content begins"""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member as the directory has it."""

    member: Member
    raw_name: bytes
    flags: int


class Zip:
    """An archive whose structure has been checked. The members' content is checked when it is read."""

    def __init__(self, content: memoryview, allowance: Allowance) -> None:
        """Raise DamageError unless the archive has one reading only."""
        self._content = content
        self._allowance = allowance
        directory, end, count = _directory(content)
        entries = _entries(content, directory, end, count)
        self.members: Mapping[str, Member] = {member.name: member for member in _placed(content, entries, directory)}
        if len(self.members) != len(entries):
            raise DamageError("two members of the archive have the same name")

    def read(self, member: Member) -> memoryview:
        """Return the content of a member, as it was before it was packed; writable.

        Raises DamageError when it is not what the directory says, or would unpack beyond the limits.
        """
        packed = self._content[member.start : member.start + member.packed]
        if member.method == _STORED:
            content = packed
        else:
            self._allowance.take_unpacked(member.size)
            content = memoryview(_inflated(packed, member))
        if zlib.crc32(content) != member.crc:
            raise DamageError(f"the checksum of its member {printable(member.name)} is wrong")
        return content


def _inflated(packed: memoryview, member: Member) -> bytearray:
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = bytearray(unpacking.decompress(packed, member.size + 1))
    except zlib.error as error:
        raise DamageError(f"its member {printable(member.name)} is damaged: {error}") from error
    if len(content) != member.size or not unpacking.eof or unpacking.unused_data:
        raise DamageError(f"its member {printable(member.name)} has not the {member.size} bytes that the archive says")
    return content


def _directory(content: memoryview) -> tuple[int, int, int]:
    """Where the directory begins and ends, and how many members it has."""
    last = len(content) - _END.size
    if last < 0 or bytes(content[last : last + 4]) != b"PK\x05\x06":
        behind = b"PK\x05\x06" in bytes(content[-_MOST_COMMENT - _END.size :])
        reason = "it is a zip archive whose end is missing, or has something behind it, such as a comment"
        raise DamageError(reason, _PACK_AGAIN) if behind else DamageError(reason)
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(content[last:])
    if disk or first_disk or comment or here != count:
        raise DamageError("it is a zip archive in several parts, or with a comment", _PACK_AGAIN)
    end = last
    locator = last - _LOCATOR.size
    if locator >= 0 and bytes(content[locator : locator + 4]) == b"PK\x06\x07":
        end, large = _large_end(content, locator)
        small = (count, size, start)
        if any(a not in {b, full} for a, b, full in zip(small, large, (_FULL_16, _FULL_32, _FULL_32), strict=True)):
            raise DamageError("the two end records of the archive contradict each other")
        count, size, start = large
    if start + size != end:
        raise DamageError("the directory of the archive does not lie where its end record says")
    return start, end, count


def _large_end(content: memoryview, locator: int) -> tuple[int, tuple[int, int, int]]:
    """Return the end record of large archives: where it begins, and the number, size and start of the directory."""
    _, disk, where, disks = _LOCATOR.unpack(content[locator : locator + _LOCATOR.size])
    if disk or disks != 1 or where + _LARGE_END.size != locator:
        raise DamageError("the second end record of the archive does not lie where it should")
    mark, length, _, _, disk, first_disk, here, count, size, start = _LARGE_END.unpack(content[where:locator])
    if mark != b"PK\x06\x06" or length != _LARGE_END.size - 12 or disk or first_disk or here != count:
        raise DamageError("the second end record of the archive is damaged")
    return where, (count, size, start)


def _entries(content: memoryview, start: int, end: int, count: int) -> list[_Entry]:
    if count > MOST_MEMBERS:
        raise DamageError(f"the archive has {count} members, and at most {MOST_MEMBERS} are read")
    entries: list[_Entry] = []
    position = start
    for _ in range(count):
        if position + _CENTRAL.size > end:
            raise DamageError("the directory of the archive is cut short")
        entry, position = _entry(content, position, end)
        entries.append(entry)
    if position != end:
        raise DamageError("the directory of the archive has something behind its last member")
    return entries


def _entry(content: memoryview, position: int, end: int) -> tuple[_Entry, int]:
    """One member of the directory, and where the next one begins."""
    fields = _CENTRAL.unpack(content[position : position + _CENTRAL.size])
    mark, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment, disk, _, _, header = fields
    if mark != b"PK\x01\x02" or disk or comment:
        raise DamageError("the directory of the archive is damaged")
    if flags & ~_FLAGS_ALLOWED or method not in {_STORED, _DEFLATED}:
        raise DamageError("a member of the archive is encrypted, or packed in a rare way", _PACK_AGAIN)
    position += _CENTRAL.size
    after = position + name_length + extra_length
    if after > end:
        raise DamageError("the directory of the archive is cut short")
    raw_name = bytes(content[position : position + name_length])
    wide = _wide(content[position + name_length : after])
    size, wide = _widened(size, wide)
    packed, wide = _widened(packed, wide)
    header, wide = _widened(header, wide)
    if wide or (method == _STORED and packed != size):
        raise DamageError("the directory of the archive contradicts itself")
    return _Entry(Member(_name(raw_name), method, crc, packed, size, header), raw_name, flags), after


def _placed(content: memoryview, entries: list[_Entry], directory: int) -> list[Member]:
    """Return the members with the places of their content, which fill the file up to the directory."""
    ordered = sorted(entries, key=lambda entry: entry.member.header)
    ends = [*(entry.member.header for entry in ordered[1:]), directory]
    if ordered and ordered[0].member.header:
        raise DamageError("the archive has something before its first member")
    return [_located(content, entry, end) for entry, end in zip(ordered, ends, strict=True)]


def _located(content: memoryview, entry: _Entry, end: int) -> Member:
    """Return a member with the place of its content. Its header, content and descriptor fill the file up to `end`."""
    member = entry.member
    name = printable(member.name)
    start = member.header + _LOCAL.size
    if start > end:
        raise DamageError(f"the member {name} of the archive overlaps the next one")
    fields = _LOCAL.unpack(content[member.header : start])
    mark, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    extra = start + name_length
    start = extra + extra_length
    stop = start + member.packed
    if stop > end:
        raise DamageError(f"the member {name} of the archive overlaps the next one")
    wide = _wide(content[extra:start])
    size, wide = _widened(size, wide)
    packed, wide = _widened(packed, wide)
    said, true = (crc, packed, size), (member.crc, member.packed, member.size)
    # Beyond 4 GB torch repeats here what the directory says, though the header has room for zeros only.
    repeated = all(number in {0, member.size, member.packed, member.header} for number in wide)
    later = flags & _FLAG_DESCRIPTOR and all(a in {0, b} for a, b in zip(said, true, strict=True))
    same = bytes(content[extra - name_length : extra]) == entry.raw_name and (flags, method) == (
        entry.flags,
        member.method,
    )
    if mark != START or not same or not repeated or not (later or said == true):
        raise DamageError(f"the header of the member {name} is not what the archive's directory says")
    tail = bytes(content[stop : min(end, stop + _LOCAL.size)])  # longer than any descriptor
    if tail not in (_descriptors(true) if flags & _FLAG_DESCRIPTOR else [b""]):
        raise DamageError(f"the archive has something behind its member {name}")
    return Member(member.name, member.method, member.crc, member.packed, member.size, member.header, start)


def _descriptors(true: tuple[int, int, int]) -> list[bytes]:
    """Return the forms of what may follow a member: its checksum and sizes, in 32 bits if they fit, or in 64."""
    forms = _DESCRIPTORS if max(true) <= _FULL_32 else _DESCRIPTORS[1:]
    return [form.pack(b"PK\x07\x08", *true) for form in forms]


def _wide(extra: memoryview) -> list[int]:
    """Return the sizes and places of more than 32 bits that stand in the extra fields of a member."""
    wide: list[int] | None = None
    position = 0
    while position < len(extra):
        kind, length = struct.unpack("<2H", extra[position : position + 4]) if position + 4 <= len(extra) else (0, -1)
        field = extra[position + 4 : position + 4 + length]
        if (
            length < 0
            or len(field) != length
            or kind == _EXTRA_OTHER_NAME
            or (kind == _EXTRA_SIZES and wide is not None)
        ):
            raise DamageError("an extra field of the archive is damaged, or gives a member a second name")
        if kind == _EXTRA_SIZES:
            if length % 8:
                raise DamageError("an extra field of the archive is damaged")
            wide = [number for (number,) in struct.iter_unpack("<Q", field)]
        position += 4 + length
    return wide or []


def _widened(value: int, wide: list[int]) -> tuple[int, list[int]]:
    """Return a number that stands among the wide ones when it is too large for its own field."""
    return (wide[0], wide[1:]) if value == _FULL_32 and wide else (value, wide)


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeError:
        name = raw.decode("latin-1")
    parts = name.removesuffix("/").split("/")
    if "\0" in name or "\\" in name or not all(parts) or ".." in parts:
        raise DamageError(f"the archive has a member named {printable(name)}, which leads out of it")
    return name
