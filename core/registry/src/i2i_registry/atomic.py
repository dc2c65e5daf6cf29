"""Files and folders that are either wholly there or not there at all, whatever happens while they are written.

The content is built under a temporary name in the same folder, forced to the disk, and renamed. A kill leaves at most
a hidden file that ends in `.partial`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""End of the name of everything that is still being written."""

_CHUNK = 1 << 20


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yields a temporary path to write the content to; `path` appears, or is replaced, when the block ends well.

    Raises what the block raises, and OSError when the disk is full; `path` is then as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        # mkstemp makes files that only their owner may read; results follow the user's umask like any other file.
        partial.chmod(0o666 & ~_umask())
        _force_to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _force_to_disk(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yields an empty temporary folder to fill; it becomes `path` when the block ends well.

    Raises FileExistsError when `path` exists, before and after the block, and what the block raises.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL))
    try:
        yield partial
        partial.chmod(0o777 & ~_umask())
        for file in partial.rglob("*"):
            _force_to_disk(file)
        if path.exists():
            raise FileExistsError(f"{path} appeared while it was being written")
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _force_to_disk(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _umask() -> int:
    # There is no way to read the umask but to set it; 0o077 is what it is, if another thread looks at this moment.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _force_to_disk(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows has no handle for a folder, and needs none
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
