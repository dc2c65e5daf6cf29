"""A run on disk: everything that is needed to go on with it, and everything a person looks at.

RUN/
run.json                  what was asked for, with versions and the command
checkpoints/              see checkpoint.py
metrics.jsonl             one line per step
curves.png                the losses, drawn at every checkpoint
samples/step-000000500.png, samples/latest.png
tensorboard/
weights.safetensors       when the run is complete
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.cards import WeightsName
from i2i_registry.record_files import RecordError, read_record
from i2i_runtime.errors import UsageError
from i2i_runtime.files.atomic import alone_with, remove_leftovers, write_text
from i2i_runtime.records import Name, Record
from i2i_toolkit.engine.checkpoints import Checkpoints
from i2i_toolkit.engine.devices import TrainingDevice, TrainingPrecision


class TrainingSettings(Record):
    """How a run is computed and recorded; what is learned is in the trainer's Options."""

    seed: NonNegativeInt = 0
    device: TrainingDevice = "auto"
    precision: TrainingPrecision = "fp32"
    processes: PositiveInt = 1
    accumulate: PositiveInt = 1
    """micro-batches a batch is computed in"""
    threads: PositiveInt = 1
    """CPU threads of each process"""
    workers: NonNegativeInt = 0
    """background processes that load images, for each process"""
    checkpoint_every: NonNegativeInt = 1000
    """steps; 0: never for this reason"""
    checkpoint_minutes: NonNegativeFloat = 10.0
    """0: never for this reason"""
    sample_every: NonNegativeInt = 500
    """steps; 0: never"""
    samples: PositiveInt = 4
    """rows of a sample grid"""


class RunRecord(Record):
    """run.json."""

    format: Literal[1] = 1
    name: WeightsName
    """of the weights that the run makes"""
    model: Name
    preset: str
    config: dict[str, JsonValue]
    options: dict[str, JsonValue]
    settings: TrainingSettings
    data: str
    """absolute path"""
    init: str = ""
    """weights it starts from: "name@version", or empty"""
    init_sha256: str = ""
    command: str
    versions: Annotated[dict[str, str], Field(default_factory=dict)]

    def identity(self) -> dict[str, JsonValue]:
        """Return what a checkpoint of this run must agree with."""
        settings = self.settings
        return {
            "model": self.model,
            **{f"config {key}": value for key, value in self.config.items()},
            **{f"option {key}": value for key, value in self.options.items()},
            "seed": settings.seed,
            "precision": settings.precision,
            "processes": settings.processes,
            "accumulate": settings.accumulate,
        }


class RunFolder:
    """The paths of one run. Constructing it touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Path] = []
        self.metrics = path / "metrics.jsonl"
        self.curves = path / "curves.png"
        self.samples = path / "samples"
        self.tensorboard = path / "tensorboard"
        self.weights = path / "weights.safetensors"
        self.failure = path / "failure.json"

    def create(self, record: RunRecord) -> None:
        """Make the folder with its run.json. Raises UsageError when something lies there already."""
        if not self.is_free():
            raise UsageError(
                found=f"{self.path} exists already",
                expected="a new folder for --out",
                fix=f"go on with that run: i2i-registry train --resume {self.path}"
                if (self.path / "run.json").is_file()
                else f"choose another: --out {self.path}-2",
            )
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / "run.json", record.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise TrainingError(
                found=f"{self.path} cannot be written: {error.strerror or error}",
                expected="room and permission to write",
                fix="choose another folder with --out",
            ) from error

    def is_free(self) -> bool:
        """Whether a run can be made here: there is nothing, or an empty folder, as a killed command leaves it."""
        remove_leftovers(self.path)
        return not os.path.lexists(self.path) or (self.path.is_dir() and not any(self.path.iterdir()))

    def remove_if_unused(self) -> None:
        """Remove a folder that holds nothing but its run.json: the training never came to its first step.

        The folders above it go as well where `create` made them and they hold nothing else.
        """
        if [entry.name for entry in self.path.iterdir()] != ["run.json"]:
            return
        (self.path / "run.json").unlink()
        with suppress(OSError):  # another run has moved in
            for folder in self._made:
                folder.rmdir()

    def record(self) -> RunRecord:
        """Return what run.json says. Raises UsageError when this is no run, TrainingError when the file is damaged."""
        file = self.path / "run.json"
        if not os.path.lexists(file):
            raise UsageError(
                found=f"{self.path} holds no run.json",
                expected="the folder of a run, as `i2i-registry train` names it when it starts",
                fix="start one: i2i-registry train MODEL --data DIR",
            )
        try:
            return read_record(file, RunRecord)
        except (OSError, RecordError) as error:
            raise TrainingError(
                found=f"{file} cannot be read: {error}",
                expected="run.json as it was written",
                fix="undo the change, or start a new run",
            ) from error

    @contextmanager
    def alone(self) -> Generator[None]:
        """Lock the run for one session: two would overwrite each other. Raises TrainingError when there is another."""
        with ExitStack() as stack:
            try:
                stack.enter_context(alone_with(self.path))
            except OSError as error:
                raise TrainingError(
                    found=f"{self.path}: {error.strerror}",
                    expected="one training of a run at a time",
                    fix="wait for the other one, or stop it; Ctrl-C saves",
                ) from error
            yield

    def checkpoints(self) -> Checkpoints:
        """Return the run's checkpoints."""
        return Checkpoints(self.path / "checkpoints", self.record().identity())
