"""Where results go: looked at before the work, by every command in the same words."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.image.reading import file_parts


def check_new(out: Path) -> None:
    """Raise UsageError unless nothing is at `out` yet, and something can be written there."""
    if os.path.lexists(out):
        raise UsageError(
            found=f"{out} exists",
            expected="a place where there is nothing yet",
            fix=f"remove it, or choose another: -o {_another(out)}",
        )
    check_writable(out)


def check_file(out: Path, suffixes: Collection[str], inputs: Iterable[Path] = (), fix: str = "") -> None:
    """Raise UsageError unless `out` can become a file that ends in one of `suffixes`, and is none of `inputs`."""
    suffix = out.suffix.lower()
    if suffix not in suffixes:
        raise UsageError(f"-o {out} ends in {out.suffix!r}", expected=nearest(suffix, suffixes), fix=fix)
    if out.is_dir():
        raise UsageError(f"-o {out} is a folder", expected="one file")
    check_writable(out)
    check_inputs_survive([out], inputs)


def check_inputs_survive(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise UsageError when an output is one of the files that are read; "a.png+b.png" is two of them."""
    read = {_identity(part) for source in inputs for part in file_parts(source) if part.exists()}
    for out in outputs:
        if out.exists() and _identity(out) in read:
            raise UsageError(f"{out} is an input", expected="an output elsewhere: inputs are never overwritten")


def _identity(path: Path) -> tuple[int, int]:
    """Return the same for all names of a file, links among them."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check_writable(out: Path) -> None:
    """Raise UsageError with the reason when nothing can be written at `out`. Folders above it need not exist."""
    try:
        with suppress(FileNotFoundError):
            out.lstat()
        home = next(folder for folder in out.absolute().parents if folder.exists())
        # Asked by trying: permissions are not all that can stand in the way.
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise _refusal(out, error) from error


def _refusal(out: Path, error: OSError) -> UsageError:
    return UsageError(
        found=f"{out} cannot be written: {error.strerror or error}",
        expected="a writable folder, and a name that the system allows",
        fix="choose another place, or a shorter name, with -o",
    )


def _another(out: Path) -> Path:
    names = (out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(2, 10_000))
    return next(name for name in names if not os.path.lexists(name))
