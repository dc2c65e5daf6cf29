"""What bounds the reading of a checkpoint. Everything is checked before memory is taken for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from i2i_runtime.type_guards import is_list_or_tuple

MOST_BYTES = 16 << 30
"""Size of a checkpoint, all its files together."""
MOST_STEPS = 1_000_000
"""Opcodes of the pickles of one file. A network of some hundred layers has some ten thousand."""
STEPS_PER_OBJECT = 4
"""Steps that an object counts for beside its opcode: it takes some hundred bytes."""
ARGUMENTS_PER_STEP = 16
"""Arguments of a call, and parts of the containers among them, that count for one step: they are looked at each time.
"""
MOST_NAME_LENGTH = 500
"""Characters of the name of a class, of a storage, and of a place in a file. Names are joined to longer ones."""
MOST_TUPLE_KEYS = 10_000
"""Tuples as keys of dictionaries, in one file: their hashes can be made to collide."""
MOST_DEPTH_OF_FILES = 4
"""Torch files inside of torch files."""

MOST_DIMENSIONS = 32
MOST_ELEMENTS = 1 << 48
"""Of a tensor, in one dimension and in all. Above every memory; only an empty tensor could have more."""

MOST_RATIO = 100
"""How many times the size of the file its unpacked parts may have. Weights hardly shrink; only bombs by hundreds."""
ALWAYS_UNPACKED = 64 << 20
"""Bytes that may be unpacked whatever the file's size."""

_COMPLETE = "the download may be incomplete: fetch it again and compare its size"


class DamageError(Exception):
    """A file, or a part of it, cannot be read: why ("its ..."), and what to do."""

    def __init__(self, reason: str, fix: str = _COMPLETE) -> None:
        super().__init__(reason)
        self.fix = fix


@dataclass(slots=True)
class Allowance:
    """What the reading of one file may still take, the files inside of it included."""

    copied_bytes: int
    """bytes that a pickle may make from its texts and hand to other readers"""
    unpacked_bytes: int
    """bytes that deflated members of archives may have"""
    steps: int = MOST_STEPS
    tuple_keys: int = MOST_TUPLE_KEYS
    depth: int = MOST_DEPTH_OF_FILES

    @classmethod
    def of_file(cls, size: int) -> Allowance:
        """Return the allowance of a file of so many bytes."""
        return cls(copied_bytes=2 * size, unpacked_bytes=MOST_RATIO * size + ALWAYS_UNPACKED)

    def take_steps(self, count: int) -> None:
        """Raise DamageError when the file takes more steps than any checkpoint needs."""
        self.steps -= count
        if self.steps < 0:
            raise DamageError(
                f"it takes more than {MOST_STEPS} steps to read",
                "save the state dict alone, without what the training kept beside it",
            )

    def take_bytes(self, count: int) -> None:
        """Raise DamageError when bytes are copied that the file does not hold."""
        self.copied_bytes -= count
        if self.copied_bytes < 0:
            raise DamageError("its pickle copies the same bytes again and again")

    def take_unpacked(self, count: int) -> None:
        """Raise DamageError before more is unpacked than a file of this size can honestly hold."""
        self.unpacked_bytes -= count
        if self.unpacked_bytes < 0:
            raise DamageError(
                f"it would unpack to more than {MOST_RATIO} times its size",
                "get the file from its authors: this one only takes memory",
            )

    def take_tuple_key(self) -> None:
        """Raise DamageError when more keys are tuples than any checkpoint has."""
        self.tuple_keys -= 1
        if self.tuple_keys < 0:
            raise DamageError(f"more than {MOST_TUPLE_KEYS} keys of its dictionaries are tuples")


def whole_numbers(values: object) -> tuple[int, ...] | None:
    """Sizes, strides or places as a file has them; None unless all are whole numbers from 0 on that can be some."""
    if not is_list_or_tuple(values):
        return None
    numbers = tuple(value for value in values if type(value) is int and 0 <= value < MOST_ELEMENTS)
    return numbers if len(numbers) == len(values) else None


def shape_problem(shape: Sequence[int]) -> str:
    """Why no tensor can have this shape, to follow its name; empty when one can, if its elements are there."""
    if len(shape) > MOST_DIMENSIONS:
        return f"has {len(shape)} dimensions, and at most {MOST_DIMENSIONS} are read"
    # Sizes without an element are compared with nothing in the file, and their product overflows.
    if 0 in shape and math.prod(size for size in shape if size) > MOST_ELEMENTS:
        return f"is empty, with the impossible sizes {list(shape)}"
    return ""
