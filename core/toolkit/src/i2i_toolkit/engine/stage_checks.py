"""What the engine asks of a trainer's stages before it runs them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.trainer import Phase, Stage
from i2i_runtime.errors import UsageError

SMALLEST_RATE = math.ulp(0.0)
"""The least float above 0."""


def check_stages(stages: Sequence[Stage[Any]], parameters: Iterable[nn.Parameter], accumulate: int) -> None:
    """Ask it all.

    Raises UsageError where batches cannot be computed in so many micro-batches, and TrainingError where an optimizer
    holds something else than the `parameters` of the trainer's networks, where a phase would begin without learning, or
    where what is to be kept has no fields.
    """
    known = {id(parameter) for parameter in parameters}
    for stage in stages:
        _check_micro_batches(stage, accumulate)
        _check_kept(stage)
        for phase in stage.phases:
            _check_owned(phase, known)
            _check_first_rate(stage, phase)


def check_rate(rate: float, phase: str, stage: str, step: int, *, least: float = 0.0) -> float:
    """Return the learning rate, when it is one. Raises TrainingError when it is below `least` or not finite."""
    if math.isfinite(rate) and rate >= least:
        return rate
    raise TrainingError(
        found=f"the learning rate of phase {phase!r} is {rate:g} in step {step} of stage {stage!r}",
        expected="a finite rate above 0, or nothing is learned" if least else "a finite rate of at least 0",
        fix="another --set learning_rate, or more --steps; if both are as they were given by default, the trainer's "
        "schedule is wrong",
    )


def _check_micro_batches(stage: Stage[Any], accumulate: int) -> None:
    if stage.batch_size % accumulate:
        raise UsageError(
            found=f"batches of {stage.batch_size} in {accumulate} equal micro-batches",
            expected="--accumulate to divide the batch size",
            fix=f"leave --accumulate away, or use --batch-size {accumulate} or a multiple of it where a model has one",
        )
    if stage.keep_shared and accumulate > 1:
        raise UsageError(
            found=f"batches in {accumulate} micro-batches, and a stage {stage.name!r} that computes what its phases "
            "share once for the whole batch",
            expected="--accumulate 1",
            fix="leave --accumulate away",
        )


def _check_kept(stage: Stage[Any]) -> None:
    kept = stage.keep_shared
    if kept is not None and not (issubclass(kept, tuple) and hasattr(kept, "_fields")):
        raise TrainingError(
            found=f"keep_shared of stage {stage.name!r} is {kept.__name__}",
            expected="a NamedTuple of tensors, whose fields a checkpoint can hold by name",
            fix="let `Stage.shared` return a NamedTuple, and name its class",
        )


def _check_owned(phase: Phase[Any], known: set[int]) -> None:
    held = [p for group in phase.optimizer.param_groups for p in group["params"]]
    if any(id(parameter) not in known for parameter in held):
        raise TrainingError(
            found=f"the optimizer of phase {phase.name!r} holds a parameter of no network",
            expected="only parameters of `Trainer.networks`, which is what checkpoints keep",
            fix="add the network to `networks`, and build optimizers in `stages()`",
        )


def _check_first_rate(stage: Stage[Any], phase: Phase[Any]) -> None:
    """Every group of the optimizer moves in the first step of the phase; later a schedule may end at 0."""
    first = phase.every
    if first > stage.steps:
        return
    for group in phase.optimizer.param_groups:
        rate = float(group["lr"]) * phase.learning_rate(first)
        check_rate(rate, phase.name, stage.name, first, least=SMALLEST_RATE)
