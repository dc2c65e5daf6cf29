"""Files and folders that are either wholly there or not there at all, whatever happens while they are written.

The content is built under a temporary name in the same folder, forced to the disk, and renamed. Whoever builds it holds
a lock on it, and the lock dies with the process: so what a killed process left is told from what a live one is still
writing, and the next one that writes into the folder removes it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_OURS = re.compile(r"\..*\.i2i-[0-9a-f]+\.partial", re.DOTALL)
"""Names that nobody else gives: a program's own `.animation.partial` is never touched."""

_SHOWN = 32
"""characters of the final name in the temporary one, which may be no longer than the system allows"""

_swept: set[tuple[int, int]] = set()
"""device and inode of the folders that this process has looked through: once is enough for any number of results"""


class _TakenError(Exception):
    """Another process holds it, or has removed it."""


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yield a temporary file to write the content to; `path` appears, or is replaced, when the block ends well.

    Raises what the block raises, and OSError when the disk is full or `path` cannot be there; it is then as it was.
    """
    with suppress(FileNotFoundError):
        os.lstat(path)  # a name that is too long is told before the work
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(path.parent)
    partial, handle = _new_file(path)
    try:
        yield partial
        # Only its owner may read it so far; results follow the user's umask like any other file.
        partial.chmod(0o666 & ~_umask())
        _force_to_disk(partial)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        _release(handle)
    _force_to_disk(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `atomic_write` does."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yield an empty temporary folder to fill; it becomes `path` when the block ends well.

    Folders above it that are missing are made at the end. Only one process at a time builds a folder of one name.

    Raises FileExistsError when `path` exists, before and after the block, OSError (EBUSY) when another process is
    building it, and what the block raises.
    """
    _refuse_existing(path)
    place = path.absolute()
    home = next(folder for folder in place.parents if folder.exists())
    _sweep_once(home)
    partial = home / _temporary_name(path, hashlib.sha256(os.fsencode(place)).hexdigest()[:12])
    handle = _claim_folder(partial, path)
    try:
        yield partial
        partial.chmod(0o777 & ~_umask())
        for file in partial.rglob("*"):
            _force_to_disk(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        _refuse_existing(path)
        partial.rename(place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        _release(handle)
    _force_to_disk(place.parent)


@contextmanager
def scratch_folder() -> Generator[Path]:
    """Yield a private temporary folder, gone when the block ends; those that killed processes left are removed."""
    home = Path(tempfile.gettempdir())
    _sweep_once(home)
    partial = home / _temporary_name(Path("scratch"), secrets.token_hex(8))
    handle = _claim_folder(partial, partial)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _release(handle)


@contextmanager
def alone_with(folder: Path) -> Generator[None]:
    """Keep other processes that ask for the same out of a folder during the block. Raises OSError (EBUSY)."""
    try:
        handle = _hold(_open_folder(folder), folder)
    except _TakenError as error:
        raise OSError(errno.EBUSY, "another process works in it", str(folder)) from error
    try:
        yield
    finally:
        _release(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this user left half-written in `folder`; what is still being written stays."""
    if sys.platform == "win32":
        return  # it has no lock that tells the two apart
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [Path(entry.path) for entry in entries if _OURS.fullmatch(entry.name)]:
            _remove_if_dead(path)


def _sweep_once(folder: Path) -> None:
    with suppress(OSError):
        place = folder.stat()
        if (place.st_dev, place.st_ino) not in _swept:
            _swept.add((place.st_dev, place.st_ino))
            remove_leftovers(folder)


def _remove_if_dead(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            there = os.fstat(handle)
            if there.st_uid != os.geteuid() or _lock(handle) is not True or not _is_at(handle, path):
                return
            if stat.S_ISDIR(there.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _temporary_name(path: Path, token: str) -> str:
    return f".{path.name[:_SHOWN]}.i2i-{token}.partial"


def _new_file(path: Path) -> tuple[Path, int | None]:
    """Return a temporary file for `path`, and the handle that keeps it from being taken for a leftover."""
    while True:
        partial = path.with_name(_temporary_name(path, secrets.token_hex(6)))
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # Between these two lines another process may have taken it for a leftover: then there is a next one.
        with suppress(_TakenError):
            return partial, _hold(handle, partial)


def _claim_folder(partial: Path, path: Path) -> int | None:
    """Make the temporary folder, empty and held by this process. Raises OSError (EBUSY) when another one holds it."""
    while True:
        with suppress(FileExistsError):
            partial.mkdir(mode=0o700)
        try:
            held = _hold(_open_folder(partial), partial)
        except _TakenError as error:
            if os.path.lexists(partial):
                raise OSError(errno.EBUSY, "another process is writing it", str(path)) from error
        except FileNotFoundError:
            continue  # it was removed as a leftover, or has just become what it was made for
        else:
            _empty(partial)
            return held


def _open_folder(path: Path) -> int:
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)  # it has no handle for a folder
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _hold(handle: int, path: Path) -> int | None:
    """Return the handle, which now holds `path`; None where there are no locks.

    Raises _TakenError where another has it.
    """
    if sys.platform == "win32":
        os.close(handle)  # an open file cannot be renamed there
        return None
    if _lock(handle) is False or not _is_at(handle, path):
        os.close(handle)
        raise _TakenError
    return handle


def _release(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Whether this process has it now; None where the file system has no locks."""
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415 - POSIX only

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _refuse_existing(path: Path) -> None:
    try:
        path.lstat()
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, "it exists already", str(path))


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
