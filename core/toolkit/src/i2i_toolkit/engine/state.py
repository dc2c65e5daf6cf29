"""A training run at one point, as tensors and plain values: what a checkpoint holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, JsonValue, NonNegativeInt
from torch import Tensor
from torch.optim import Optimizer

from i2i_registry.checkpoints.tensor_files import check_shapes
from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.trainer import Stage
from i2i_runtime.records import Record

OTHER_VERSION = "go on with the versions of i2i-toolkit and the plugin that run.json names, or start a new run"
"""what to do with a checkpoint that this version cannot go on from"""


class Cursor(Record):
    """Where a run stands: what comes next."""

    stage: NonNegativeInt
    """index; the last one once everything is done"""
    step: NonNegativeInt
    """of the stage, from 1; 0: the stage has not begun; steps + 1: it is complete"""
    phase: NonNegativeInt
    """index into the stage's phases"""


class OptimizerValues(Record):
    """What an optimizer keeps beside tensors, as torch's `state_dict` has it."""

    state: dict[str, dict[str, JsonValue]]
    """index of a parameter -> name -> value"""
    groups: list[JsonValue]


class Snapshot(Record):
    """Everything that a run needs to go on exactly; see `Engine.snapshot`.

    The tensors are kept apart from the rest, which is JSON.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    cursor: Cursor
    optimizers: dict[str, OptimizerValues]
    """first phase that uses the optimizer -> its values"""
    scaler: dict[str, JsonValue]
    """of fp16's loss scaling; empty without"""
    values: dict[str, float]
    """losses and learning rates of the phases that a half-done step has behind it"""
    tensors: Annotated[dict[str, Tensor], Field(exclude=True)]
    """network/<name>/<key>, ema/<name>/<key>, start/<name>/<buffer> (the buffers at the start of a half-done
    step), shared/<name> (what its phases share, of stages that keep it), optimizer/<phase>/<parameter>/<name>"""

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names start with `prefix`, without it."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


def check_snapshot(
    snapshot: Snapshot, stages: Sequence[Stage[Any]], learned: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
) -> None:
    """Check that a run of these stages can go on from a snapshot, before anything of it is used.

    Args:
        snapshot: what was saved.
        stages: those of the trainer.
        learned: tensors of networks and EMA, under the names that they have in a snapshot.
        buffers: of the networks, where a half-done step that shares something is saved with them.

    Raises:
        TrainingError: it stands at a stage or a phase that there is not.
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    cursor = snapshot.cursor
    if cursor.stage >= len(stages) or cursor.phase >= len(stages[cursor.stage].phases):
        raise TrainingError(
            found=f"the checkpoint stands before phase {cursor.phase} of stage {cursor.stage}, which there is not",
            expected="the stages and phases that the run was started with",
            fix=OTHER_VERSION,
        )
    saved = {key: value for key, value in snapshot.tensors.items() if not key.startswith("optimizer/")}
    wanted = dict(learned)
    if cursor.phase > 0:
        stage = stages[cursor.stage]
        wanted |= {f"start/{key}": value for key, value in buffers.items()} if stage.shared else {}
        record = stage.keep_shared
        for name in (f"shared/{key}" for key in (record._fields if record else ())):
            wanted[name] = saved.get(name, torch.empty(0))  # of what phases share, only the names are known yet
    check_shapes(_shapes(saved), _shapes(wanted), "the checkpoint", fix=OTHER_VERSION)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def optimizer_state(optimizers: Mapping[str, Optimizer]) -> tuple[dict[str, Tensor], dict[str, OptimizerValues]]:
    """Return the optimizers' states, split into named tensors and plain values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, OptimizerValues] = {}
    for name, optimizer in optimizers.items():
        saved = optimizer.state_dict()
        plain: dict[str, dict[str, JsonValue]] = {}
        for index, state in saved["state"].items():
            plain[str(index)] = {key: _as_json(value) for key, value in state.items() if not isinstance(value, Tensor)}
            for key, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{name}/{index}/{key}"] = value
        values[name] = OptimizerValues(state=plain, groups=[_as_json(group) for group in saved["param_groups"]])
    return tensors, values


def _as_json(value: object) -> JsonValue:
    """As JSON gives it back: tuples (Adam's betas) become lists, which optimizers take as well."""
    return json.loads(json.dumps(value))


def load_optimizers(optimizers: Mapping[str, Optimizer], snapshot: Snapshot) -> None:
    """Give each optimizer the state it has in `snapshot`.

    Raises TrainingError when the saved optimizers are others.
    """
    if set(optimizers) != set(snapshot.optimizers):
        raise TrainingError(
            found=f"saved optimizers of the phases {sorted(snapshot.optimizers)}",
            expected=f"those of {sorted(optimizers)}",
            fix=OTHER_VERSION,
        )
    for name, optimizer in optimizers.items():
        values = snapshot.optimizers[name]
        state: dict[int, dict[str, object]] = {int(index): dict(plain) for index, plain in values.state.items()}
        for path, tensor in snapshot.under(f"optimizer/{name}/").items():
            index, key = path.split("/", 1)
            state.setdefault(int(index), {})[key] = tensor
        _load_optimizer(name, optimizer, {"state": state, "param_groups": values.groups})


def _load_optimizer(name: str, optimizer: Optimizer, state: dict[str, object]) -> None:
    try:
        optimizer.load_state_dict(state)
    except (ValueError, KeyError) as error:
        raise TrainingError(
            found=f"the saved optimizer of phase {name!r} does not fit: {error}",
            expected="the parameters that the run was started with",
            fix=OTHER_VERSION,
        ) from error
