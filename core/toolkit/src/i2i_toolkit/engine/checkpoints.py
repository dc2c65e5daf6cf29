"""Checkpoints on disk: a folder with one safetensors file and one JSON file, written whole or not at all.

checkpoints/
step-000000012.0/       12 steps done, phase 0 comes next
state.safetensors     every tensor of the Snapshot
state.json            the rest, the sha256 of the tensors, and a sha256 of the rest
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, NonNegativeInt, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from i2i_registry.checkpoints.tensor_files import read_tensors, without_shared_memory
from i2i_registry.errors import CheckpointError, TrainingError
from i2i_registry.record_files import RecordError, problems_in_words, read_record
from i2i_runtime.files.atomic import atomic_folder, remove_leftovers
from i2i_runtime.files.regular import sha256_of
from i2i_runtime.records import Record
from i2i_runtime.untrusted_text import printable
from i2i_toolkit.engine.state import OTHER_VERSION, Cursor, OptimizerValues, Snapshot

TENSORS = "state.safetensors"
VALUES = "state.json"
KEPT = 2
_MOST_VALUES = 256 << 20
"""bytes of a state.json: the states of optimizers and random generators are in it"""


_FORMAT = 2
"""1: before 0.2, with other names of tensors"""


class CheckpointValues(Record):
    """The JSON side of a checkpoint."""

    format: Literal[2] = _FORMAT
    identity: dict[str, JsonValue]
    """what must not change between start and resume, by name"""
    total_step: NonNegativeInt
    seconds: float
    """spent training so far"""
    tensors_sha256: str
    cursor: Cursor
    optimizers: dict[str, OptimizerValues]
    scaler: dict[str, JsonValue]
    values: dict[str, float]


class _Envelope(Record):
    """state.json: the values as text, and the hash of that text."""

    sha256: str
    state: str


class _DamageError(Exception):
    """A checkpoint is not whole."""


class Checkpoints:
    """The checkpoints of one run; the last two are kept.

    Args:
        folder: where they lie; created with the first one.
        identity: what makes the run what it is (model, config, options, seed ...), by name. A checkpoint with another
            identity is refused, with the names that differ.
    """

    def __init__(self, folder: Path, identity: Mapping[str, JsonValue]) -> None:
        self.folder = folder
        self.identity = dict(identity)

    def save(self, snapshot: Snapshot, *, total_step: int, seconds: float) -> Path:
        """Write a checkpoint, whole or not at all, and remove those beyond the last two.

        Raises TrainingError when it cannot be written (a full disk); the earlier ones are then untouched.
        """
        path = self.folder / f"step-{total_step:09d}.{snapshot.cursor.phase}"
        try:
            # The same point is reached again after a resume from an older one: what lies there is the same, or damaged.
            shutil.rmtree(path, ignore_errors=True)
            with atomic_folder(path) as partial:
                self._write(partial, snapshot, total_step=total_step, seconds=seconds)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                found=f"the checkpoint {path} cannot be written: {error}",
                expected="room and permission to write",
                fix="make room, then go on with --resume; the checkpoints before it are intact",
            ) from error
        self._remove_old()
        return path

    def newest(self) -> tuple[CheckpointValues, Snapshot, tuple[str, ...]] | None:
        """Return the newest checkpoint that is whole, and a sentence for every damaged one that was passed over.

        None when there is none at all. Raises TrainingError when all are damaged, or when the newest whole one belongs
        to another run or was written by another version.
        """
        damage: list[str] = []
        for path in self.paths():
            try:
                values, tensors = _read(path)
            except _DamageError as error:
                damage.append(f"{path} is damaged ({error})")
                continue
            self._check_identity(path, values)
            fields = {name: getattr(values, name) for name in ("cursor", "optimizers", "scaler", "values")}
            return values, Snapshot(tensors=tensors, **fields), tuple(damage)
        if damage:
            raise TrainingError(
                found="; ".join(damage),
                expected=f"a whole checkpoint in {self.folder}",
                fix="start a new run",
            )
        return None

    def paths(self) -> list[Path]:
        """Return the folders of the checkpoints, newest first."""
        return sorted(self.folder.glob("step-*"), key=lambda path: path.name, reverse=True)

    def _write(self, folder: Path, snapshot: Snapshot, *, total_step: int, seconds: float) -> None:
        save_file(without_shared_memory(snapshot.tensors), folder / TENSORS)
        values = CheckpointValues(
            identity=self.identity,
            total_step=total_step,
            seconds=seconds,
            tensors_sha256=sha256_of(folder / TENSORS),
            cursor=snapshot.cursor,
            optimizers=snapshot.optimizers,
            scaler=snapshot.scaler,
            values=snapshot.values,
        )
        body = values.model_dump_json()
        envelope = _Envelope(sha256=hashlib.sha256(body.encode()).hexdigest(), state=body)
        (folder / VALUES).write_text(envelope.model_dump_json(), encoding="utf-8")

    def _check_identity(self, path: Path, values: CheckpointValues) -> None:
        names = sorted(values.identity.keys() | self.identity.keys())
        changed = [
            f"{printable(name)} was {printable(repr(values.identity.get(name)))}, is {self.identity.get(name)!r}"
            for name in names
            if values.identity.get(name) != self.identity.get(name)
        ]
        if changed:
            raise TrainingError(
                found=f"the checkpoint {path} is of another run: " + "; ".join(changed),
                expected="the model, config, options and seed that the run was started with",
                fix="undo the change, or start a new run",
            )

    def _remove_old(self) -> None:
        for path in self.paths()[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)
        remove_leftovers(self.folder)


def _check_format(path: Path, state: str) -> None:
    """Raise TrainingError for a checkpoint of another version: what its names stand for is not known here."""
    values = TypeAdapter(dict[str, JsonValue]).validate_json(state)
    if values.get("format") != _FORMAT:
        raise TrainingError(
            found=f"the checkpoint {path} has the format {printable(repr(values.get('format')))}",
            expected=f"format {_FORMAT}, which this version of i2i-toolkit writes",
            fix=OTHER_VERSION,
        )


def _read(path: Path) -> tuple[CheckpointValues, dict[str, Tensor]]:
    try:
        envelope = read_record(path / VALUES, _Envelope, _MOST_VALUES)
        if envelope.sha256 != hashlib.sha256(envelope.state.encode()).hexdigest():
            raise _DamageError(f"{VALUES} was changed")
        _check_format(path, envelope.state)
        values = CheckpointValues.model_validate_json(envelope.state)
        return values, read_tensors(path / TENSORS, values.tensors_sha256)
    except ValidationError as error:
        raise _DamageError(f"{VALUES}: {problems_in_words(error)}") from error
    except CheckpointError as error:
        raise _DamageError(f"{TENSORS} was changed") from error
    except (OSError, RecordError) as error:
        raise _DamageError(printable(str(error))) from error
