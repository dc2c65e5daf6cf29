"""Whole files for the store and for results: what `i2i_runtime.atomic` writes, as text, and their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from i2i_runtime.atomic import alone_with, atomic_folder, atomic_write, remove_leftovers, scratch_folder
from i2i_runtime.regular_files import open_regular

__all__ = [
    "alone_with",
    "atomic_folder",
    "atomic_write",
    "remove_leftovers",
    "scratch_folder",
    "sha256_of",
    "write_text",
]

_CHUNK = 1 << 20


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file's bytes, as 64 hexadecimal digits. Raises OSError for pipes and devices too."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
