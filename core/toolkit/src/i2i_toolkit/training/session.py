"""One session of a run: builds what run.json describes, trains from its last checkpoint, and writes the run's files."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from i2i_registry.checkpoints.tensor_files import write_tensors
from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.data import DataSource
from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.device.memory import lacks_memory
from i2i_runtime.errors import UsageError
from i2i_toolkit.data.fitting import open_data
from i2i_toolkit.engine.checkpoints import Checkpoints
from i2i_toolkit.engine.devices import open_accelerator
from i2i_toolkit.engine.loop import Engine
from i2i_toolkit.engine.reports import PhaseReport, StopRequest
from i2i_toolkit.seeds import derive
from i2i_toolkit.training.building import build_trainer
from i2i_toolkit.training.cost import check_cost, cost_of, usable_memory
from i2i_toolkit.training.cost_counting import count_work
from i2i_toolkit.training.journal import Journal
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.saving import RunProgress, draft

_SMALLER = {
    "batch_size": "a smaller --batch-size, or the same in parts: --accumulate",
    "image_size": "a smaller --set image_size=N",
    "max_size": "a smaller --max-size",
}
"""field of a config or of options -> what to do with it where memory is short"""

Show = Callable[[PhaseReport], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Where a session starts: how many steps there are, and how many are complete."""

    total_steps: int
    done: int


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """How a session ended."""

    complete: bool
    total_step: int
    """complete steps of the run"""
    card: WeightsCard | None
    """of the stored weights, when the run is complete"""


class TrainingSession:
    """A run from its last checkpoint to its end, or to a request to stop.

    Args:
        folder: the run.
        catalogue: what is installed, the weights to start from, and the store for the finished ones.
        stop: asked after every optimizer step.
        say: takes lines for people.
        show: builds what is told about every optimizer step, once it is known how many there are.
    """

    def __init__(
        self,
        folder: RunFolder,
        catalogue: Catalogue,
        *,
        stop: StopRequest,
        say: Say,
        show: Callable[[SessionStart], Show],
    ) -> None:
        self._folder, self._catalogue = folder, catalogue
        self._stop, self._say, self._make_show = stop, say, show
        self._record = folder.record()
        self._settings = self._record.settings
        self._seconds = 0.0
        self._checkpointed = time.monotonic()

    def run(self) -> SessionOutcome:
        """Train. Raises TrainingError, LayoutError and what else stops the run."""
        try:
            return self._run()
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            reason = (str(error) or "no reason given").splitlines()[0]
            raise TrainingError(
                found=f"there was not enough memory for this training: {reason}",
                expected="steps that fit into the memory of this machine, or of its GPU",
                fix=f"start a new run with {self._smaller()}",
            ) from error

    def _run(self) -> SessionOutcome:
        settings = self._settings
        torch.set_num_threads(settings.threads)
        accelerator = open_accelerator(settings.device, settings.precision, settings.processes)
        main = accelerator.is_main_process
        trainer = build_trainer(self._record, self._catalogue)
        source = open_data(trainer, Path(self._record.data), derive(settings.seed, "data"), self._catalogue.registry)
        on_cpu = accelerator.device.type == "cpu"
        work = count_work(trainer, source, accumulate=settings.accumulate) if on_cpu else None
        estimate = check_cost(cost_of(work), usable_memory(), self._smaller()) if work else ""
        engine = Engine(
            trainer,
            source,
            accelerator=accelerator,
            seed=settings.seed,
            accumulate=settings.accumulate,
            workers=settings.workers,
            stop=self._stop,
        )
        checkpoints = self._folder.checkpoints()
        self._restore(engine, checkpoints)
        if main:
            described = data_summary(source)
            self._say(f"data: {described} in {self._record.data}")
            self._say(f"device: {accelerator.device}, {settings.precision}, {settings.threads} threads a process")
            if estimate:
                self._say(f"the whole training: {estimate}")
            with self._folder.alone():
                complete = self._train_and_record(engine, source, checkpoints)
                card = self._save_weights(engine, described) if complete else None
        else:
            complete, card = self._train(engine), None
        return SessionOutcome(complete=complete, total_step=engine.total_step, card=card)

    def _smaller(self) -> str:
        """Return what takes less memory, in the words of the command."""
        given = {**self._record.config, **self._record.options}
        return ", or ".join(way for name, way in _SMALLER.items() if name in given) or "another --preset"

    def _restore(self, engine: Engine, checkpoints: Checkpoints) -> None:
        found = checkpoints.newest()
        if found is None:
            return
        values, snapshot, damaged = found
        for sentence in damaged:
            self._say(f"{sentence}: going on from the one before")
        engine.restore(snapshot)
        self._seconds = values.seconds
        self._say(f"resuming after step {values.total_step} of {engine.total_steps}")

    def _train(self, engine: Engine) -> bool:
        return all(not report.stop for report in engine.phases())

    def _train_and_record(self, engine: Engine, source: DataSource, checkpoints: Checkpoints) -> bool:
        """Train and write the run's files. Returns whether the run is complete."""
        shown = source.preview(self._settings.samples)
        show = self._make_show(SessionStart(total_steps=engine.total_steps, done=engine.total_step))
        with Journal(self._folder, first_step=engine.total_step + 1) as journal:
            if not checkpoints.paths():
                # Before the first step: what can go wrong with samples or the disk goes wrong now, not in an hour.
                checkpoints.save(engine.snapshot(), total_step=0, seconds=0.0)
                if self._settings.sample_every:
                    journal.sample(engine.preview(shown), 0)
            last = time.monotonic()
            for report in engine.phases():
                now = time.monotonic()
                self._seconds, last = self._seconds + now - last, now
                show(report)
                if report.step_complete:
                    journal.step(report, self._seconds)
                    self._sample(engine, journal, shown, report)
                if report.stop or self._checkpoint_is_due(report, engine):
                    self._checkpoint(engine, checkpoints, journal)
                if report.stop and engine.total_step < engine.total_steps:
                    return False
            journal.draw_curves()
        return True

    def _sample(self, engine: Engine, journal: Journal, shown: Mapping[str, Tensor], report: PhaseReport) -> None:
        every, last = self._settings.sample_every, report.total_step == engine.total_steps
        if every and (last or report.total_step % every == 0):
            journal.sample(engine.preview(shown), report.total_step)

    def _checkpoint_is_due(self, report: PhaseReport, engine: Engine) -> bool:
        if not report.step_complete:
            return False
        every, minutes = self._settings.checkpoint_every, self._settings.checkpoint_minutes
        by_time = minutes > 0 and time.monotonic() - self._checkpointed >= 60 * minutes
        by_step = every > 0 and report.total_step % every == 0
        return by_time or by_step or report.total_step == engine.total_steps

    def _checkpoint(self, engine: Engine, checkpoints: Checkpoints, journal: Journal) -> None:
        checkpoints.save(engine.snapshot(), total_step=engine.total_step, seconds=self._seconds)
        self._checkpointed = time.monotonic()
        journal.draw_curves_if_cheap()

    def _save_weights(self, engine: Engine, described: str) -> WeightsCard:
        """Write the run's weights file and store it under the run's name."""
        tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in engine.weights().items()}
        write_tensors(tensors, self._folder.weights)
        self._check_name_again()
        steps = engine.total_steps
        progress = RunProgress(steps, steps, engine.stages[-1].name, self._seconds)
        known = draft(self._record, self._catalogue.registry, progress, data=described, machine=_machine(engine))
        return self._catalogue.store.add(self._folder.weights, known)

    def _check_name_again(self) -> None:
        """Raise TrainingError where the name was taken while the training went on."""
        name = self._record.name
        now = Catalogue(self._catalogue.registry, self._catalogue.store, self._catalogue.curated)
        try:
            now.check_name(name, self._record.model)
        except UsageError as error:
            raise TrainingError(
                found=f"{error.found}, which it did not when this training began",
                expected="a name that means nothing else; the training is complete, and nothing of it is lost",
                fix=f"i2i-registry save {self._folder.path} --as {now.free_name(name)}",
            ) from error


def data_summary(source: DataSource) -> str:
    """Return what a data source found, in words: "trainA: 5, trainB: 6"."""
    return ", ".join(f"{name}: {count}" for name, count in source.describe().items() if count)


def _machine(engine: Engine) -> str:
    device = engine.accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{engine.accelerator.num_processes} x {device.type} ({name}), {torch.get_num_threads()} threads"
