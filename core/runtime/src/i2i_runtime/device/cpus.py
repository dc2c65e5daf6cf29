"""How many CPUs this process may really use: in a container that is far fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

from i2i_runtime.errors import UsageError

THREADS_VARIABLE = "I2I_THREADS"
"""The one environment variable the runtime reads: threads per session. (onnxruntime ignores OMP_NUM_THREADS.)"""


def thread_count(requested: int | None = None) -> int:
    """Threads for a session: `requested`, else the environment variable, else `usable_cpus()`.

    Raises UsageError when the number asked for is not a positive integer.
    """
    text = str(requested) if requested is not None else os.environ.get(THREADS_VARIABLE, "").strip()
    if not text:
        return usable_cpus()
    if not text.isdecimal() or int(text) == 0:
        source = "threads" if requested is not None else f"the environment variable {THREADS_VARIABLE}"
        raise UsageError(found=f"{source} is {text!r}", expected="a number of threads, at least 1")
    return int(text)


def usable_cpus() -> int:
    """CPUs this process may use: its affinity, or its control group's quota (rounded up) where that is lower."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(Path("/"))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cgroup_quota(root: Path) -> float | None:
    """CPUs granted by the lowest quota from this process's control group up to the top; None without a quota.

    `root` is the folder that holds proc/ and sys/ ("/" but in tests). Versions 1 and 2 of control groups are read.
    """
    membership = _read(root / "proc/self/cgroup")
    quotas: list[float] = []
    for line in membership.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if hierarchy == "0":
            top, parse = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            top, parse = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        # Inside a container the group's own path is often not mounted: the top then is the container's group.
        parts = PurePosixPath(group.lstrip("/"))
        folders = [top / parts, *(top / parent for parent in parts.parents), top]
        quotas += [quota for folder in folders if (quota := parse(folder)) is not None]
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> float | None:
    words = _read(folder / "cpu.max").split()
    return _ratio(*words) if len(words) == 2 else None  # noqa: PLR2004 - "quota period" or "max period"


def _quota_v1(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    """Microseconds of CPU per period; "max", -1 or nothing mean that there is no limit."""
    if not (quota.isdecimal() and period.isdecimal() and int(period) > 0):
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
