"""Ctrl-C, SIGTERM and the end of the terminal as a request to stop after the phase that is running."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType

from i2i_toolkit.engine.reports import StopRequest

SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP comes when the terminal is closed or the connection lost; Windows has none."""

_HANGUP = [number for number in SIGNALS if number.name == "SIGHUP"]


def heeded() -> tuple[signal.Signals, ...]:
    """Those of them that this process does not ignore, as one that `nohup` started ignores SIGHUP."""
    return tuple(number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


class SignalledStop(StopRequest):
    """A stop request that remembers which signal raised it."""

    def __init__(self) -> None:
        super().__init__()
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.signal or signal.SIGTERM)


@contextmanager
def stopping_on_signals(*, repeatable: bool = False) -> Generator[SignalledStop]:
    """Within the block the first signal asks to stop; a second one ends the program as it always would.

    `repeatable`: a second one is ignored. Workers get each signal twice, from the terminal and from their launcher.
    """
    stop = SignalledStop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python delivers signals to the main thread only
        return
    before = {number: signal.getsignal(number) for number in heeded()}

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        stop()
        if not repeatable:
            restore()
            for hangup in _HANGUP:
                # A closed terminal is told twice, by the shell and by the kernel; nobody asks for anything by it.
                signal.signal(hangup, signal.SIG_IGN)
            # Not through sys.stderr: the signal may have come while that was being written to, or because it is gone.
            with suppress(OSError):
                os.write(2, b"\nsaving after this optimizer step; the same again stops at once, without saving\n")

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
