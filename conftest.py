"""For all tests: signals end a program, however the tests were started."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Undo what `nohup` and the background of a shell hand down: that SIGHUP or SIGINT are ignored.

    The commands that tests start inherit it, and rightly stay deaf then.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
