"""The memory of tensors, and tensors on it: every bound is checked, and nothing larger than the file is ever made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from i2i_registry.checkpoints.limits import shape_problem, whole_numbers

_TYPES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "UntypedStorage": torch.uint8,
    "_UntypedStorage": torch.uint8,
}
_QUANTISED = {"QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1, "QUInt2x4Storage": 1}
"""name -> bytes of an element"""

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class ElementType:
    """What a storage holds, by the name of its class ("FloatStorage")."""

    name: str
    dtype: torch.dtype
    quantised: bool = False

    @classmethod
    def of(cls, name: str) -> ElementType | None:
        """Return the element type of a storage class, or None for one that torch does not have."""
        if name in _TYPES:
            return cls(name, _TYPES[name])
        if name in _QUANTISED:
            return cls(name, torch.uint8 if _QUANTISED[name] == 1 else torch.int32, quantised=True)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class UnreadTensor:
    """Stands for a tensor that cannot be read; whoever knows its name tells it."""

    reason: str
    """follows the name: "lies beyond the end of its storage" """


@dataclass(slots=True, eq=False)
class Storage:
    """The memory of tensors: numbers in a row."""

    flat: Tensor
    """[n], of its own memory"""
    problem: str = ""
    """why no tensor on it can be read: "..., whose storage data/3 is damaged" """

    def part(self, start: int, count: int) -> Storage:
        """Return a stretch of it, on the same memory."""
        if not 0 <= start <= start + count <= self.flat.numel():
            return Storage(self.flat[:0], "lies beyond the end of its storage")
        return Storage(self.flat[start : start + count], self.problem)


def numbers(content: memoryview, dtype: torch.dtype, order: ByteOrder = "little") -> Tensor:
    """Bytes as numbers [n]: on the same memory where it can be, else on a copy. `content` must be writable.

    The length is a multiple of the element's size.
    """
    if not len(content):
        return torch.empty(0, dtype=dtype)
    flat = torch.frombuffer(content, dtype=torch.uint8)
    if dtype == torch.bool:
        return flat.ne(0)  # other bytes than 0 and 1 would be neither true nor false
    if flat.data_ptr() % dtype.itemsize:
        flat = flat.clone()
    if order == "big":
        unit = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        flat = flat.view(-1, unit).flip(1).flatten()
    return flat.view(dtype)


def rebuilt(
    storage: Storage, offset: object, sizes: object, strides: object, dtype: torch.dtype | None = None
) -> Tensor | UnreadTensor:
    """Return the tensor of these sizes and strides (in elements) that begins at element `offset` of a storage.

    It lies on the storage's memory; elements that would lie beyond its end, or on each other, make it unreadable.
    """
    if storage.problem:
        return UnreadTensor(storage.problem)
    flat = storage.flat
    if dtype is not None and dtype != flat.dtype:
        raw = flat.view(torch.uint8)
        if raw.numel() % dtype.itemsize or dtype == torch.bool:
            return UnreadTensor(f"cannot be {str(dtype).removeprefix('torch.')} on a storage of {raw.numel()} bytes")
        flat = raw.view(dtype)
    shape, steps, start = whole_numbers(sizes), whole_numbers(strides), whole_numbers([offset])
    if shape is None or steps is None or start is None or len(shape) != len(steps):
        return UnreadTensor("has sizes, strides or an offset that are no whole numbers from 0 on")
    problem = shape_problem(shape)
    if not problem and 0 in shape:
        return torch.empty(shape, dtype=flat.dtype)
    problem = problem or _out_of_place(start[0], shape, steps, flat.numel())
    return UnreadTensor(problem) if problem else flat.as_strided(shape, steps, flat.storage_offset() + start[0])


def _out_of_place(offset: int, sizes: Sequence[int], strides: Sequence[int], available: int) -> str:
    """Why a tensor cannot lie where it says, if it cannot: beyond the end, or elements on top of each other."""
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= available:
        return f"reaches element {last} of a storage of {available}"
    reach = 0
    for stride, size in sorted((stride, size) for size, stride in zip(sizes, strides, strict=True) if size > 1):
        if stride <= reach:
            return f"overlaps itself: sizes {list(sizes)} at strides {list(strides)}"
        reach += (size - 1) * stride
    return ""
