"""What a training is going to take, told before it starts; one that this machine cannot hold does not start."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from i2i_registry.interfaces.trainer import Cost
from i2i_runtime.errors import UsageError

GIGA = 1e9
_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""of the container that this process runs in, if it runs in one; versions 2 and 1"""


def usable_memory() -> int | None:
    """Bytes of this machine, or of the container where that is allowed less; None where the system does not tell."""
    limits: list[int] = []
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _GROUP_LIMITS:
        with suppress(ValueError, OSError):  # "max" is no number
            limits.append(int(Path(path).read_text()))
    return min(limits, default=None)


def check_cost(cost: Cost, memory: int | None) -> str:
    """The estimate in words. Raises UsageError when the training needs more than `memory` bytes."""
    sentence = f"{_duration(cost.seconds)} and {cost.memory / GIGA:.1f} GB of memory on this machine's CPU, roughly"
    if memory is not None and cost.memory > memory:
        raise UsageError(
            found=f"a training that takes {sentence}",
            expected=f"at most the {memory / GIGA:.0f} GB that are here",
            fix="--max-size with a smaller number: the longer side of what it is trained at, in pixels",
        )
    return sentence


def _duration(seconds: float) -> str:
    for length, name in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} seconds"
