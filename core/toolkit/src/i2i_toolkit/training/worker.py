"""`python -m i2i_toolkit.training.worker RUN STORE`: one of several training processes, started by `launch.py`."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from i2i_registry.cli.start import open_streams
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store
from i2i_runtime.errors import I2IError
from i2i_toolkit.engine.devices import close_processes
from i2i_toolkit.training.console import run_training
from i2i_toolkit.training.launch import note_failure
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.signals import stopping_on_signals


def train_as_worker(run: str, store: str) -> int:
    """Train this process's share. Returns the exit code."""
    open_streams()
    folder, catalogue = RunFolder(Path(run)), Catalogue.gather(discover(), Store(Path(store)))
    try:
        with stopping_on_signals(repeatable=True) as stop, _stream() as stream:
            run_training(folder, catalogue, stop=stop, stream=stream)
    except I2IError as error:
        note_failure(folder, error)
        return 1
    finally:
        close_processes()
    return 0


@contextmanager
def _stream() -> Generator[TextIO]:
    """Where this process may speak: the first one for all, the others nowhere."""
    if os.environ.get("RANK", "0") == "0":
        yield sys.stderr
    else:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            yield nowhere


if __name__ == "__main__":
    sys.exit(train_as_worker(*sys.argv[1:]))
