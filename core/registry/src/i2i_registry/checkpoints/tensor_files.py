"""Safetensors files: written whole, read strictly and once, checked by hash and by shape."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from i2i_registry.checkpoints.limits import MOST_BYTES, DamageError
from i2i_registry.checkpoints.safetensors import TensorList, read_list
from i2i_registry.errors import CheckpointError, StoreError
from i2i_runtime.files.atomic import atomic_write
from i2i_runtime.files.regular import open_regular, read_regular, sha256_of
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from torch import Tensor

METADATA = {"format": "pt"}
_SHOWN = 5


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors to a safetensors file, atomically. Raises StoreError when they cannot be written."""
    from safetensors.torch import save_file  # noqa: PLC0415 - brings torch

    try:
        with atomic_write(path) as partial:
            save_file(without_shared_memory(tensors), partial, METADATA)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            found=f"{path} could not be written: {error}",
            expected="a writable folder with room for the weights",
            fix="free some space or choose another folder; nothing was left behind",
        ) from error


def without_shared_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same values as safetensors takes them.

    Detached, contiguous, on the CPU, none sharing memory with another.
    """
    separate: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if address in seen else plain
        seen.add(address)
    return separate


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """All tensors of a safetensors file, which is read once; `sha256`, when given, is what its bytes must hash to.

    Raises CheckpointError when it is missing, damaged, or hashes to something else.
    """
    shown = printable(str(path))
    try:
        content = read_regular(path, MOST_BYTES)
        if sha256 is not None:
            _check_digest(shown, hashlib.sha256(content).hexdigest(), sha256)
        return parse_tensors(content)
    except (OSError, DamageError) as error:
        raise _unreadable(shown, error) from error


def read_header(path: Path) -> TensorList:
    """Return what a safetensors file says it holds. Raises CheckpointError when it is missing or damaged."""
    try:
        with open_regular(path) as file:
            return read_list(file, os.fstat(file.fileno()).st_size)
    except (OSError, DamageError) as error:
        raise _unreadable(printable(str(path)), error) from error


def parse_tensors(content: bytearray) -> dict[str, Tensor]:
    """All tensors of the bytes of a safetensors file, on their memory where it can be. Raises DamageError."""
    import torch  # noqa: PLC0415 - most callers of this file need no tensors

    from i2i_registry.checkpoints.storages import numbers  # noqa: PLC0415 - brings torch

    dtypes = {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "C64": torch.complex64,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U64": torch.uint64,
        "U32": torch.uint32,
        "U16": torch.uint16,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
    tensors = read_list(BytesIO(content), len(content))
    data = memoryview(content)[tensors.data :]
    return {
        name: numbers(data[entry.start : entry.end], dtypes[entry.dtype]).reshape(entry.shape)
        for name, entry in tensors.entries.items()
    }


def _unreadable(shown: str, error: OSError | DamageError) -> CheckpointError:
    reason = error.strerror if isinstance(error, OSError) else None
    return CheckpointError(
        found=f"{shown} cannot be read as safetensors: {reason or error}",
        expected="a whole safetensors file",
        fix="fetch or export it again",
    )


def check_hash(path: Path, sha256: str) -> None:
    """Raise CheckpointError unless the file's bytes have this SHA-256."""
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}", expected="the weights file") from error
    _check_digest(printable(str(path)), actual, sha256)


def _check_digest(shown: str, actual: str, wanted: str) -> None:
    if actual != wanted:
        raise CheckpointError(
            found=f"{shown} has sha256 {actual}",
            expected=wanted,
            fix="the file is damaged or was exchanged: fetch it again",
        )


def check_shapes(
    given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], where: str, fix: str = ""
) -> None:
    """Raise CheckpointError unless both name the same tensors with the same shapes; `where` is what `given` is."""
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
    """Return the first few items under a title, "missing: a, b, c and 7 more", safe to print.

    Nothing when there are none.
    """
    listed = sorted(items)
    if not listed:
        return ""
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{title}: {', '.join(map(printable, listed[:_SHOWN]))}{more}"
