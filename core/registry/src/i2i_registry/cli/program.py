"""One command line: arguments in, exit code out, every error rendered."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from i2i_registry.cli.commands import program
from i2i_registry.cli.render import tell, tell_error
from i2i_registry.cli.session import Session
from i2i_registry.cli.start import INTERRUPTED, LostResultsError
from i2i_runtime.device.memory import lacks_memory
from i2i_runtime.errors import I2IError

DEBUG = "--debug"
FAILED, MISUSED = 1, 2

_FIXES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EACCES: "mend its permissions, or choose another place",
    errno.EPERM: "mend its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "look whether it is there, and whether the current folder still is",
    errno.ENOTDIR: "one of the folders in the path is a file: choose another place",
    errno.EISDIR: "name a file",
    errno.EMFILE: "let the program open more files: ulimit -n 4096",
}


def run_program(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run the command line and return its exit code. `session` is what plugins and store it works with."""
    # Accepted anywhere, because one adds it to the end of the line that just failed.
    debug = DEBUG in arguments
    rest = [argument for argument in arguments if argument != DEBUG]
    try:
        result: object = program.main(rest, prog_name="i2i-registry", standalone_mode=False, obj=session or Session())
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted")
        return INTERRUPTED
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        return _report(error, debug=debug)
    return result if isinstance(result, int) else 0


def tell_log_records() -> None:
    """Warnings of libraries are told like everything else that is said to people."""
    logging.basicConfig(handlers=[_Teller()], level=logging.WARNING)


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


def _report(error: BaseException, *, debug: bool) -> int:
    if isinstance(error, LostResultsError) and error.reader_left:
        return FAILED  # `| head`: it wants no more
    if debug:
        for line in "".join(traceback.format_exception(error)).splitlines():
            tell(line)
    if isinstance(error, click.ClickException):
        text = io.StringIO()
        error.show(text)
        for line in text.getvalue().splitlines():
            tell(line)
        return error.exit_code
    told = _explained(error)
    tell_error(told)
    return told.exit_code


def _explained(error: BaseException) -> I2IError:
    """Return the last resort: nothing ends the program without a sentence on what to do."""
    if isinstance(error, I2IError):
        return error
    if isinstance(error, LostResultsError):
        return I2IError(
            found=f"the results cannot be written to stdout: {error}",
            expected="a stream that is open, on a disk with free space",
            fix="look at where the output of this command goes",
        )
    if isinstance(error, OSError) and error.strerror:
        place = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        fix = _FIXES.get(error.errno or 0, f"add {DEBUG} to see where it comes from")
        return I2IError(f"{error.strerror}{place}", fix=fix)
    if lacks_memory(error):
        return I2IError(
            found="the memory of this machine is not enough",
            fix="work on smaller images or batches, or end other programs",
        )
    return I2IError(
        found=f"{type(error).__name__}: {error}",
        expected="no such error: this is a fault of i2i-registry or of a plugin, not yours",
        fix=f"report it, with what this command prints with {DEBUG}, and with i2i-registry doctor",
    )
