"""Open a file that somebody else names: a regular file, or an error at once.

Whoever reads files that come from elsewhere (checkpoints, bundles, images) opens them here. Opening a named pipe
waits for a writer that may never come, and reading a device may never end.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Each is there on some systems only. Without O_NONBLOCK a pipe put in the file's place would block after all.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; links are followed. Never blocks, and touches no device.

    Raises OSError whose `strerror` names the cause: what the system says, or that the path is a folder, a named pipe, a
    socket or a device.
    """
    _check(path.stat(), path)
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), path)  # it may have been exchanged since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most_bytes: int) -> bytearray:
    """All bytes of a regular file, read once, and never more than `most_bytes` of memory for them.

    Raises OSError as `open_regular` does, and when the file is larger or changes its size while it is read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"it has {size} bytes, and at most {most_bytes} are read", str(path))
        content = bytearray(size)
        filled = 0
        with memoryview(content) as view:
            while filled < size and (count := file.readinto(view[filled:])):
                filled += count
        if filled < size or file.read(1):
            raise OSError(errno.EIO, "its size changed while it was read", str(path))
        return content


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits. Raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(status: os.stat_result, path: Path) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no regular file')}, not a file", str(path))
