"""The first and the last moment of the program: streams and signals, before anything large is imported and after all.

Only the standard library's lightest modules are imported here, so that Ctrl-C is answered from the first moment.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import BinaryIO, TextIO

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""

_IMPORT = "<frozen importlib._bootstrap>"
_RESULTS, _MESSAGES = 1, 2
_ESCAPING = "backslashreplace"
"""A name that the terminal's encoding lacks is printed with escapes."""


def answer_interrupts() -> None:
    """Ctrl-C raises KeyboardInterrupt, which `run` answers; the program ends at once where that would get lost.

    That is inside an import, whose module may take it for a failure of its own or swallow it, and for a second one.
    Where Ctrl-C is ignored (a job in the background of a script) it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    asked = False

    def interrupt(_number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or _is_importing(frame):
            _end(b"interrupted\n", INTERRUPTED)
        asked = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def leave_on_interrupt(code: int) -> None:
    """All is done and only the interpreter is left to end: Ctrl-C does not change that, and is no traceback."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: _end(b"", code))


def open_streams() -> None:
    """Give the program the three streams that it was started without, and make messages never fail.

    A closed stream's number would go to the next file that is opened, and others would print into that. Results that
    nobody can take are an error when they are printed; messages that nobody can take are lost.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # What is written to `_RESULTS` fails, as it does with a closed stream.
            mode = os.O_WRONLY if number == _MESSAGES else os.O_RDONLY
            os.set_inheritable(os.open(os.devnull, mode), True)  # noqa: FBT003 - positional only
    sys.stdout = _Results(_raw(_RESULTS), _encoding(sys.stdout), _ESCAPING, line_buffering=os.isatty(_RESULTS))
    sys.stderr = _Messages(_raw(_MESSAGES), _encoding(sys.stderr), _ESCAPING, line_buffering=True)


def _raw(number: int) -> BinaryIO:
    return open(number, "wb", closefd=False)


def _encoding(stream: TextIO | None) -> str:
    return "utf-8" if stream is None else stream.encoding  # None: Python's own, of a stream that was closed


class LostResultsError(Exception):
    """Results cannot be written to stdout; no OSError, which a command could take for one of its own files."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason.strerror or str(reason))
        self.reader_left = isinstance(reason, BrokenPipeError)


class _Results(io.TextIOWrapper):
    """Raises LostResultsError once; what is left is then dropped, at shutdown too."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lose(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lose(error) from error

    def _lose(self, error: OSError) -> LostResultsError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return LostResultsError(error)


class _Messages(io.TextIOWrapper):
    """Takes what it can: a terminal that was closed must not end a training before it has saved."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def _end(message: bytes, code: int) -> None:
    try:
        os.write(_MESSAGES, message)
    finally:
        os._exit(code)
