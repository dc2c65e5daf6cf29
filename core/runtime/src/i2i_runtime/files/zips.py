"""The members of a zip that somebody else made: listed and unpacked within bounds that its size and we set."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from i2i_runtime.errors import BundleError
from i2i_runtime.files.regular import open_regular
from i2i_runtime.untrusted_text import printable

MAX_RATIO = 200
"""Largest ratio of unpacked to packed size. Weights hardly shrink; only bombs shrink by hundreds."""

MAX_SMALL_BYTES = 2**20
"""Up to this size a member may shrink by more: JSON does."""

MAX_LIST_BYTES = 2**20
"""Size of the list of members; some ten thousand names."""

_CHUNK = 2**18


class Archive:
    """An open zip whose list of members has been checked. Made by `opened`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._members = {member.filename: member for member in archive.infolist()}

    @property
    def names(self) -> Sequence[str]:
        """The members, as they are written."""
        return list(self._members)

    def read(self, name: str, most_bytes: int) -> bytes:
        """All bytes of a member, of which there may be at most `most_bytes`. Raises BundleError."""
        member = self._members.get(name)
        if member is None:
            raise BundleError(found=f"{self.path} lacks {printable(name)}", fix="export or copy the bundle again")
        if member.file_size > most_bytes:
            raise BundleError(
                found=f"{self.path}: {printable(name)} has {member.file_size} bytes", expected=f"at most {most_bytes}"
            )
        content, left = io.BytesIO(), member.file_size + 1
        with self._archive.open(member) as source:
            while left > 0 and (chunk := source.read(min(_CHUNK, left))):
                content.write(chunk)
                left -= len(chunk)
        return content.getvalue()


@contextmanager
def opened(path: Path) -> Generator[Archive]:
    """Give an archive to read from; damage that is met, and whatever could be a trap, becomes a BundleError."""
    try:
        with open_regular(path) as stream, zipfile.ZipFile(_Bounded(stream)) as archive:
            _check(archive.infolist(), path, path.stat().st_size)
            yield Archive(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BundleError(
            found=f"{path} is a damaged zip: {printable(str(error))}", fix="export or copy the bundle again"
        ) from error


def safe_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path inside a bundle.

    Raises BundleError for whatever could lead out of it, on any system.
    """
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    escapes = not parts or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name
    if escapes or windows.drive or windows.root:
        raise BundleError(
            found=f"the path {printable(name)!r} leads out of the bundle",
            expected="a relative path with forward slashes",
        )
    return parts


class _Bounded(io.RawIOBase):
    """A file of which no single read takes more memory than the list of members may: zipfile reads that in one go."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Raise BadZipFile for a list of members that is too long."""
        content = self._stream.read(MAX_LIST_BYTES + 1 if size < 0 or size > MAX_LIST_BYTES else size)
        if len(content) > MAX_LIST_BYTES:
            raise zipfile.BadZipFile(f"its list of members has more than {MAX_LIST_BYTES} bytes")
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _check(members: Sequence[zipfile.ZipInfo], path: Path, size: int) -> None:
    seen: set[str] = set()
    for member in members:
        name = printable(member.filename)
        safe_parts(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise BundleError(found=f"{path}: {name!r} is a link or a device", expected="files and folders")
        if member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BundleError(
                found=f"{path}: {name!r} is encrypted or packed in a rare way",
                expected="a plain zip, stored or deflated",
            )
        if member.filename in seen:
            raise BundleError(found=f"{path}: {name!r} occurs twice", expected="one member of each name")
        if member.file_size > MAX_RATIO * member.compress_size + MAX_SMALL_BYTES:
            raise BundleError(
                found=f"{path}: {name!r} unpacks from {member.compress_size} to {member.file_size} bytes",
                expected=f"at most {MAX_RATIO} times its size",
            )
        seen.add(member.filename)
    packed = sum(member.compress_size for member in members)
    if packed > size:
        raise BundleError(found=f"{path} has {size} bytes, its members {packed}", expected="members side by side")
