"""onnxruntime's telemetry is off in every process that runs a bundle, unless its owner asks for it.

The official wheels from 1.29 on write an identifier of the device and a queue of events into the user's cache folder
while they are imported, and send them. Their own switch is the environment variable that is set here; it has to be
there before the first import, and processes that are started later inherit it.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

VARIABLE = "ORT_DISABLE_TELEMETRY"
"""Read by onnxruntime when it is imported. "0" leaves telemetry on; without the variable we set it to "1"."""

_LEFT_ON = frozenset({"0", "false", "no", "off"})


def wanted() -> bool:
    """Whether the environment asks for telemetry, in as many words."""
    return os.environ.get(VARIABLE, "").strip().lower() in _LEFT_ON


def switch_off() -> None:
    """Set the variable, before onnxruntime is imported, unless telemetry is wanted."""
    if not wanted():
        os.environ[VARIABLE] = "1"


def silence(module: ModuleType) -> None:
    """Silence what does not read the variable: Windows builds, and a process that imported it before us."""
    if not wanted():
        disable = getattr(module, "disable_telemetry_events", None)
        if disable is not None:
            disable()


def state() -> str:
    """Return what holds in this process, in words."""
    if wanted():
        return f"on: {VARIABLE}={os.environ[VARIABLE]}"
    if os.environ.get(VARIABLE) is None and "onnxruntime" in sys.modules:
        return f"not switched off: onnxruntime was imported before i2i_runtime; set {VARIABLE}=1"
    return f"off; {VARIABLE}=0 in the environment allows it"
