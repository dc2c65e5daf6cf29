"""Safetensors files: written whole, read strictly, checked by hash and by shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from i2i_registry.atomic import atomic_write, sha256_of
from i2i_registry.errors import CheckpointError, StoreError

if TYPE_CHECKING:
    from torch import Tensor

METADATA = {"format": "pt"}
_SHOWN = 5


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors to a safetensors file, atomically. Raises StoreError when they cannot be written."""
    from safetensors.torch import save_file  # noqa: PLC0415 - brings torch

    try:
        with atomic_write(path) as partial:
            save_file(dict(tensors), partial, METADATA)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            found=f"{path} could not be written: {error}",
            expected="a writable folder with room for the weights",
            fix="free some space or choose another folder; nothing was left behind",
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises CheckpointError when it is missing or damaged."""
    from safetensors.torch import load_file  # noqa: PLC0415 - brings torch

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            found=f"{path} cannot be read as safetensors: {error}",
            expected="a whole safetensors file",
            fix="fetch or export it again",
        ) from error


def check_hash(path: Path, sha256: str) -> None:
    """Raises CheckpointError unless the file's bytes have this SHA-256."""
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}", expected="the weights file") from error
    if actual != sha256:
        raise CheckpointError(
            found=f"{path} has sha256 {actual}",
            expected=sha256,
            fix="the file is damaged or was exchanged: fetch it again",
        )


def check_shapes(
    given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], where: str, fix: str = ""
) -> None:
    """Raises CheckpointError unless both name the same tensors with the same shapes; `where` is what `given` is."""
    both = given.keys() & wanted.keys()
    shapes = [f"{key} is {given[key]}, not {wanted[key]}" for key in sorted(both) if given[key] != wanted[key]]
    problems = [
        some("missing", wanted.keys() - given.keys()),
        some("unexpected", given.keys() - wanted.keys()),
        some("wrong shape", shapes),
    ]
    found = "; ".join(problem for problem in problems if problem)
    if found:
        raise CheckpointError(
            found=f"{where} does not fit the model: {found}",
            expected=f"{len(wanted)} tensors with the names and shapes of the model at this config",
            fix=fix or "use the weights with the model and config they were made for",
        )


def some(title: str, items: Iterable[str]) -> str:
    """The first few items under a title, "missing: a, b, c and 7 more"; nothing when there are none."""
    listed = sorted(items)
    if not listed:
        return ""
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{title}: {', '.join(listed[:_SHOWN])}{more}"
