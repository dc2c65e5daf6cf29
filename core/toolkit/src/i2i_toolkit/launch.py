"""Training in several processes, started by torch's own launcher.

The parent process starts `python -m i2i_toolkit.worker RUN` once per process and waits. A worker that fails leaves
what went wrong in the run folder, from where the parent raises it again.
"""

from __future__ import annotations

import json
import logging
import os
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from i2i_registry.errors import TrainingError
from i2i_runtime.errors import I2IError
from i2i_toolkit.run_folder import RunFolder

INTERRUPTED = 75
"""exit code of a worker that was asked to stop and saved (EX_TEMPFAIL)"""


def launch(folder: RunFolder, processes: int) -> int | None:
    """Run the training in `processes` workers on this machine.

    Returns None when it is complete, else the number of the signal that stopped it.
    Raises TrainingError with the worker's own words when one fails.
    """
    folder.failure.unlink(missing_ok=True)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # our own error says what happened
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "i2i_toolkit.worker", str(folder.path))
    except SignalException as interruption:
        return int(interruption.sigval)
    except ChildFailedError as error:
        raise _failure(folder) from error
    return None


def note_failure(folder: RunFolder, error: I2IError) -> None:
    """Leave a worker's error where `launch` finds it."""
    folder.failure.write_text(json.dumps([error.found, error.expected, error.fix]), encoding="utf-8")


def is_worker() -> bool:
    """Whether this process was started by torch's launcher."""
    return "LOCAL_RANK" in os.environ


def _failure(folder: RunFolder) -> TrainingError:
    if folder.failure.is_file():
        return TrainingError(*json.loads(folder.failure.read_text(encoding="utf-8")))
    return TrainingError(
        found="a training process ended without saying why",
        expected="all processes to reach the end",
        fix=f"look above for its own words; go on with: i2i-registry train --resume {folder.path}",
    )
