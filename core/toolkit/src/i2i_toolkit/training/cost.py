"""What a training is going to take, told before it starts; one that this machine cannot hold does not start."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from i2i_runtime.errors import UsageError
from i2i_toolkit.training.cost_counting import Work
from i2i_toolkit.training.speed import training_speed

SECONDS_PER_CALL = 1.5e-5
"""What calling an operator takes however small its tensors are."""
SECONDS_PER_NUMBER = 4e-9
"""What an optimizer takes for one number of a parameter."""
FACTOR = 3
"""how far an estimate may be off, either way"""
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


@dataclass(frozen=True, slots=True)
class Cost:
    """What a whole training takes on this machine's CPU, within `FACTOR`, whatever else the machine does meanwhile."""

    seconds: float
    memory: int
    """bytes at the most expensive moment, beyond what the program itself needs"""


def cost_of(work: Work) -> Cost:
    """Seconds and bytes of what was counted, on this machine with the threads that torch has now."""
    own = work.calls * SECONDS_PER_CALL + work.moved * SECONDS_PER_NUMBER
    return Cost(seconds=work.multiplications / training_speed() + own, memory=work.memory)


def check_cost(cost: Cost, memory: int | None, smaller: str) -> str:
    """Return the estimate in words.

    Raises UsageError, with the way to a `smaller` one, for more than `memory` bytes.
    """
    sentence = f"{_duration(cost.seconds)} and {cost.memory / GIGA:.1f} GB of memory on this machine's CPU, roughly"
    if memory is not None and cost.memory > memory:
        raise UsageError(
            found=f"a training that takes {sentence}",
            expected=f"at most the {memory / GIGA:.0f} GB that are here",
            fix=f"train with {smaller}",
        )
    return sentence


def _duration(seconds: float) -> str:
    for length, name in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} seconds"
