"""Training in several processes, started by torch's own launcher.

The parent starts `python -m i2i_toolkit.training.worker RUN STORE` once per process and waits. A worker that fails
leaves what went wrong in the run folder, from where the parent raises it again.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from uuid import uuid4

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from i2i_registry.errors import TrainingError
from i2i_registry.record_files import RecordError, read_record
from i2i_registry.weights.store import Store
from i2i_runtime.errors import I2IError, UsageError
from i2i_runtime.files.atomic import write_text
from i2i_runtime.records import Record
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.signals import heeded


class _Failure(Record):
    """failure.json: a worker's error."""

    usage: bool
    parts: tuple[str, str, str]
    """found, expected, fix"""


def launch(folder: RunFolder, store: Store) -> int | None:
    """Run the training on this machine, in as many workers as run.json asks for.

    Returns None when it is complete, else the number of the signal that stopped it.
    Raises UsageError or TrainingError with the worker's own words when one fails.
    """
    settings = folder.record().settings
    os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # for the workers; torch reads it when it is imported
    folder.failure.unlink(missing_ok=True)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # our own error says what happened
    config = LaunchConfig(
        run_id=uuid4().hex,
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=settings.processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
        signals_to_handle=",".join(number.name for number in heeded()),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "i2i_toolkit.training.worker", str(folder.path), str(store.root))
    except SignalException as interruption:
        return int(interruption.sigval)
    except ChildFailedError as error:
        raise take_failure(folder) from error
    # Workers that were stopped from elsewhere have saved and ended well, but not finished.
    return None if folder.weights.is_file() else int(signal.SIGTERM)


def note_failure(folder: RunFolder, error: I2IError) -> None:
    """Leave a worker's error where `launch` finds it."""
    failure = _Failure(usage=isinstance(error, UsageError), parts=(error.found, error.expected, error.fix))
    write_text(folder.failure, failure.model_dump_json())


def take_failure(folder: RunFolder) -> I2IError:
    """Return what a worker left with `note_failure`, or that it left nothing."""
    with suppress(OSError, RecordError):
        failure = read_record(folder.failure, _Failure)
        folder.failure.unlink()
        return (UsageError if failure.usage else TrainingError)(*failure.parts)
    return TrainingError(
        found="a training process ended without saying why",
        expected="all processes to reach the end",
        fix=f"look above for its own words; go on with: i2i-registry train --resume {folder.path}",
    )
