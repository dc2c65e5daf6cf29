"""Start and end of the program: arguments in, exit code out, errors rendered."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from i2i_registry.cli.commands import program
from i2i_registry.cli.render import tell, tell_error
from i2i_registry.cli.session import Session
from i2i_runtime.errors import I2IError

DEBUG = "--debug"
FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run the command line and return its exit code. `session` is what plugins and store it works with."""
    _never_fail_to_print()
    # Accepted anywhere, because one adds it to the end of the line that just failed.
    debug = DEBUG in arguments
    rest = [argument for argument in arguments if argument != DEBUG]
    try:
        result: object = program.main(rest, prog_name="i2i-registry", standalone_mode=False, obj=session or Session())
        sys.stdout.flush()
    except BrokenPipeError:
        return _stop_writing()
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted")
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, I2IError):
        tell_error(error)
        return error.exit_code
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    name = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
    tell_error(I2IError(f"{type(error).__name__}: {what}{name}", fix=f"add {DEBUG} to see where it comes from"))
    return FAILED


def _never_fail_to_print() -> None:
    """A name that the terminal's encoding lacks is printed with escapes instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _stop_writing() -> int:
    """The reader of our output went away (`| head`): say nothing more, at shutdown neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
