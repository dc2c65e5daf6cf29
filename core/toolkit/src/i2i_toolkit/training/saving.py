"""Weights of a run, stored under a name: at its end, or as far as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from i2i_registry.checkpoints.tensor_files import check_shapes
from i2i_registry.interfaces.cards import Trained, WeightsCard, WeightsDraft
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights import loading as weights
from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.attribution import Licence
from i2i_runtime.errors import UsageError
from i2i_runtime.records import Record
from i2i_toolkit.engine.state import OTHER_VERSION, Cursor, Snapshot
from i2i_toolkit.training.building import build_trainer
from i2i_toolkit.training.run_folder import RunFolder, RunRecord


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is."""

    step: int
    """complete ones, of all stages"""
    total_steps: int
    stage: str
    """the one it is in"""
    seconds: float
    """spent training"""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.total_steps

    def sentence(self) -> str:
        """In words: "after step 300 of 18000, in stage scale_0"."""
        return f"after step {self.step} of {self.total_steps}, in stage {self.stage}"


def draft(
    record: RunRecord, registry: Registry, progress: RunProgress, *, data: str = "", machine: str = "", name: str = ""
) -> WeightsDraft:
    """Return what is known about a run's weights before they are stored.

    Args:
        record: the run.
        registry: where the model is found.
        progress: how far the run is.
        data: what it learned from, in words; default: the folder's name.
        machine: that it was trained on, where that is known.
        name: of the weights; default: the run's.
    """
    card, place = registry.model_card(record.model), Path(record.data).name
    unfinished = "" if progress.complete else f"; unfinished, {progress.sentence()}"
    return WeightsDraft(
        name=name or record.name,
        model=record.model,
        summary=f"{card.paper.title}, preset {record.preset}, trained on {place}{unfinished}",
        config=dict(record.config),
        licence=Licence(
            spdx="NOASSERTION",
            notes=f"trained by the user: the losses of the training images apply; method: {card.licence.spdx}",
            non_commercial=card.licence.non_commercial,
        ),
        provenance=Trained(
            data=data or place,
            command=record.command,
            seed=record.settings.seed,
            steps=progress.step,
            seconds=round(progress.seconds),
            machine=machine,
            options=dict(record.options),
        ),
        plugin=registry.sources[record.model].label,
        parent=record.init_sha256 or None,
    )


def save_weights(folder: RunFolder, catalogue: Catalogue, name: str | None = None) -> tuple[WeightsCard, RunProgress]:
    """Store the weights of a run's newest checkpoint, finished or not; the run itself stays as it is.

    Raises UsageError when the name cannot be had or no step is complete, TrainingError when no checkpoint is whole,
    CheckpointError when the model is not the one that was trained.
    """
    record = folder.record()
    if name is not None:
        catalogue.check_name(name, record.model)
    found = folder.checkpoints().newest()
    if found is None or found[0].total_step == 0:
        raise UsageError(
            found=f"{folder.path} has no checkpoint with a complete step",
            expected="a run that has learned something",
            fix=f"go on with it: i2i-registry train --resume {folder.path}",
        )
    values, snapshot, _ = found
    trainer = build_trainer(record, catalogue)
    progress = _progress(trainer, snapshot.cursor, values.total_step, values.seconds)
    tensors = _weights(trainer.model, snapshot)
    return catalogue.store.add(tensors, draft(record, catalogue.registry, progress, name=name or "")), progress


def _progress(trainer: AnyTrainer, cursor: Cursor, step: int, seconds: float) -> RunProgress:
    stages = trainer.stages()
    return RunProgress(step, sum(stage.steps for stage in stages), stages[cursor.stage].name, seconds)


def _weights(model: Model[Record], snapshot: Snapshot) -> Mapping[str, Tensor]:
    """Return the model's tensors as `Engine.weights` gives them: of networks with an EMA, the average."""
    tensors: dict[str, Tensor] = {}
    for name in model.networks:
        state = snapshot.under(f"ema/{name}/") or snapshot.under(f"network/{name}/")
        tensors |= {f"{name}.{key}": tensor for key, tensor in state.items()}
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    check_shapes(shapes, weights.shapes_of(model), "the checkpoint", fix=OTHER_VERSION)
    return tensors
