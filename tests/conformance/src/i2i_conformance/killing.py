"""Kill a real training process between two phases, and go on from what it left on disk.

The processes come from a fork server that has imported torch once; each is a real process and dies by SIGKILL, which
nothing can catch. Where there is no fork server (Windows), each process imports torch anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from i2i_conformance.errors import ConformanceError
from i2i_conformance.training import Recipe, copied
from i2i_toolkit.engine.checkpoints import Checkpoints
from i2i_toolkit.engine.loop import Engine

PRELOADED = ["i2i_conformance.killing"]
LONGEST_S = 120.0
"""A process that trains a few phases of a shrunk network and has not died by then never will."""


def train_with_kills(recipe: Recipe, folder: Path, kills: Sequence[int]) -> dict[str, Tensor]:
    """Train in processes that are killed after phase `kills[0]`, `kills[1]` ... (counted from 1), each going on where
    the one before died; finish in this process. Returns all tensors at the end.

    Raises ConformanceError when a process ends in another way.
    """
    for kill in kills:
        _train_until_killed(recipe, folder, kill)
    engine = recipe.start()
    _resume(engine, folder)
    for _report in engine.phases():
        pass
    return copied(engine)


def _train_until_killed(recipe: Recipe, folder: Path, kill: int) -> None:
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
    else:
        context = multiprocessing.get_context("spawn")
    process = context.Process(target=_victim, args=(recipe, folder, kill))
    process.start()
    process.join(LONGEST_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    if code != -signal.SIGKILL:
        raise ConformanceError(
            found=f"the training process that should die after phase {kill} ended with {code}",
            expected=f"death by SIGKILL ({-signal.SIGKILL})",
            fix="what it printed above says why; a trainer has to work in a process of its own",
        )


def _victim(recipe: Recipe, folder: Path, kill: int) -> None:
    """Train up to the phase with number `kill`, leave a checkpoint, and die without cleaning up."""
    engine = recipe.start()
    done = _resume(engine, folder)
    for _report in engine.phases():
        done += 1
        if done == kill:
            Checkpoints(folder, {}).save(engine.snapshot(), total_step=engine.total_step, seconds=float(done))
            os.kill(os.getpid(), signal.SIGKILL)


def _resume(engine: Engine, folder: Path) -> int:
    """Restore the newest checkpoint. Returns how many phases lie behind it, which its clock was used for."""
    found = Checkpoints(folder, {}).newest()
    if found is None:
        return 0
    values, snapshot, _damage = found
    engine.restore(snapshot)
    return round(values.seconds)
