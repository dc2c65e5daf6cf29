"""Whether tensors of somebody else's file are weights: numbers, finite ones, of the kind that the network takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from i2i_registry.checkpoints.tensor_files import some
from i2i_registry.errors import CheckpointError
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from torch import Tensor, dtype

    from i2i_registry.interfaces.official import TensorShapes


def refuse_empty(shapes: TensorShapes) -> None:
    """Raise CheckpointError when a tensor holds no value at all, and names it."""
    empty = [f"{printable(key)} {list(shape)}" for key, shape in shapes.items() if 0 in shape]
    if empty:
        raise CheckpointError(
            found=some("tensors without values", empty),
            expected="weights in every tensor of the network",
            fix="the file is damaged, or was changed: fetch it again, or save it again",
        )


def odd_shapes(shapes: TensorShapes) -> str:
    """Return what is odd about shapes that no format knows.

    Empty tensors, weights of no dimension; "" when nothing is.
    """
    odd = [
        f"{printable(key)} {list(shape)}"
        for key, shape in shapes.items()
        if 0 in shape or (not shape and key.rpartition(".")[2] == "weight")
    ]
    return some("tensors that can be no weights", odd)


def as_weights(
    tensors: Mapping[str, Tensor], found: Mapping[str, Tensor], wanted: Mapping[str, tuple[str, dtype]]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors under our names and as our network keeps them, and what was converted for that.

    `tensors`: official key -> tensor, repaired; `found`: those of the files; `wanted`: official key -> our key and
    dtype. The second result is official key -> "float16 to float32".

    Raises CheckpointError that names the tensors, when they are of a kind that is no weight (complex, bool, whole
    numbers where the network has floats), not finite, or larger than the network's type can hold.
    """
    _refuse(
        "tensors of a kind that is no weight",
        (f"{printable(key)} ({_name(found.get(key, tensors[key]).dtype)})" for key in _unfit(tensors, found, wanted)),
        "floating-point numbers of 16, 32 or 64 bits",
        "save the network as it was trained: its float32 state dict; a quantised or packed one cannot be read",
    )
    _refuse(
        "values that are not finite",
        (printable(key) for key in wanted if not _finite(found.get(key, tensors[key]))),
        "finite weights",
        "the training diverged, or the file is damaged: use an earlier checkpoint of it",
    )
    ours = {target: tensors[key].to(dtype).contiguous() for key, (target, dtype) in wanted.items()}
    _refuse(
        "values beyond the range of float32",
        (printable(key) for key, (target, _) in wanted.items() if not _finite(ours[target])),
        "weights that single precision can hold",
        "the training diverged: use an earlier checkpoint of it",
    )
    converted = {
        key: f"{_name(found[key].dtype)} to {_name(dtype)}"
        for key, (_, dtype) in wanted.items()
        if key in found and found[key].dtype != dtype
    }
    return ours, converted


def _unfit(
    tensors: Mapping[str, Tensor], found: Mapping[str, Tensor], wanted: Mapping[str, tuple[str, dtype]]
) -> Iterator[str]:
    for key, (_, dtype) in wanted.items():
        tensor = found.get(key, tensors[key])
        # Counters of batches were floats in some files; nothing but their own count depends on them.
        fits = _is_weight(tensor) if dtype.is_floating_point else not (tensor.is_complex() or _is_bool(tensor))
        if not fits:
            yield key


def _is_weight(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype.itemsize >= 2  # noqa: PLR2004 - bytes; 8 bits need scales


def _is_bool(tensor: Tensor) -> bool:
    return _name(tensor.dtype) == "bool"


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _refuse(title: str, names: Iterator[str], expected: str, fix: str) -> None:
    found = some(title, names)
    if found:
        raise CheckpointError(found, expected, fix)


def _name(kind: dtype) -> str:
    return str(kind).removeprefix("torch.")
