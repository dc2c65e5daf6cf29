"""How much memory this process may still take, the machine's or its control group's, and how a lack of it is told."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from i2i_runtime.errors import UsageError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}

_LACKS_MEMORY = re.compile(
    r"bad[_ ]alloc|failed to allocate|can't allocate memory|(?:available|out of|not enough) memory"
    r"|cudaErrorMemoryAllocation|ALLOC_FAILED|storage size calculation overflowed",
    re.IGNORECASE,
)
"""How onnxruntime, torch and the libraries below them say so, on the CPU and on NVIDIA GPUs."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python, onnxruntime or torch says that there is not enough memory."""
    return isinstance(error, MemoryError) or _LACKS_MEMORY.search(str(error)) is not None


def as_bytes(memory: int | str) -> int:
    """Return a size as people write it: a number of bytes, "500MB", "4GB", "2.5GiB". Raises UsageError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?I?)B?", str(memory).strip().upper())
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise UsageError(found=f"memory={memory!r}", expected="bytes, as a number or as in '500MB' or '4GB'")
    return int(float(match[1]) * _UNITS[match[2]])


def memory_in_words(size: float) -> str:
    """Return a number of bytes for people: "6.4 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"  # noqa: PLR2004 - a gigabyte


def free_bytes(root: Path = Path("/")) -> int | None:
    """Memory that can be taken before the system swaps or ends the process; None where nobody says (not Linux).

    `root` is the folder that holds proc/ and sys/ ("/" but in tests). Versions 1 and 2 of control groups are read, and
    what a group keeps of files it has read counts as free.
    """
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    rooms = [int(match[1]) * 1024] if match else []
    for line in _read(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if hierarchy == "0":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        parts = PurePosixPath(group.lstrip("/"))
        folders = {top / parts, *(top / parent for parent in parts.parents), top}
        rooms += [room for folder in folders if (room := _room(folder, *names)) is not None]
    return max(0, min(rooms)) if rooms else None


def _room(folder: Path, limit: str, used: str, cached: str) -> int | None:
    most, taken = _read(folder / limit).strip(), _read(folder / used).strip()
    if not (most.isdecimal() and taken.isdecimal()):  # "max", or no such group
        return None
    files = re.search(rf"^{cached} (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
    return int(most) - int(taken) + (int(files[1]) if files else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
