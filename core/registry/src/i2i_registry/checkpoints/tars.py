"""Tar archives, as the oldest torch wrote them: a few plain files, one after the other, and nothing else."""

from __future__ import annotations

from i2i_registry.checkpoints.limits import DamageError
from i2i_runtime.untrusted_text import printable

MOST_MEMBERS = 100
_BLOCK = 512
_MOST_PADDING = 2 * 20 * _BLOCK
"""an archive ends with two empty blocks, and is filled up to 20"""
_MARK = slice(257, 262)
_NAME, _SIZE, _CHECKSUM, _KIND = slice(0, 100), slice(124, 136), slice(148, 156), 156
_FILE_KINDS = frozenset(b"0\0")
_FOLDER_KIND = ord("5")


def is_tar(content: memoryview) -> bool:
    """Whether it begins as a tar archive does."""
    return bytes(content[_MARK]) == b"ustar"


def read_tar(content: memoryview) -> dict[str, memoryview]:
    """Return the files of an archive: name -> content.

    Raises DamageError for links, long names, and whatever else tar has.
    """
    files: dict[str, memoryview] = {}
    position = 0
    while any(header := bytes(content[position : position + _BLOCK])):
        name, size, is_folder = _member(header)
        position += _BLOCK
        if size > len(content) - position:
            raise DamageError(f"the archive ends in the middle of its member {printable(name)}")
        if name in files or len(files) >= MOST_MEMBERS:
            raise DamageError(f"the archive has two members {printable(name)}, or more than {MOST_MEMBERS}")
        if not is_folder:
            files[name] = content[position : position + size]
        position += (size + _BLOCK - 1) // _BLOCK * _BLOCK
    rest = content[position:]
    if not 0 < len(rest) <= _MOST_PADDING or any(rest):
        raise DamageError("the archive has no end, or something behind it")
    return files


def _member(header: bytes) -> tuple[str, int, bool]:
    """Name, size, and whether it is a folder."""
    if len(header) < _BLOCK or header[_MARK] != b"ustar":
        raise DamageError("the archive is cut short or damaged")
    name = header[_NAME].rstrip(b"\0").decode("latin-1").removeprefix("./").rstrip("/")
    unsigned = sum(header) - sum(header[_CHECKSUM]) + len(header[_CHECKSUM]) * ord(" ")
    if _octal(header[_CHECKSUM]) != unsigned:
        raise DamageError(f"the checksum of the archive's member {printable(name)} is wrong")
    if header[_KIND] not in _FILE_KINDS and header[_KIND] != _FOLDER_KIND:
        raise DamageError(f"the archive's member {printable(name)} is a link, or of another rare kind")
    return name, _octal(header[_SIZE]), header[_KIND] == _FOLDER_KIND


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise DamageError("a number in the archive is damaged")
    return int(digits, 8)
