"""What the engine asks of a trainer's stages before it runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from i2i_registry.errors import TrainingError
from i2i_registry.trainer import Phase, Stage
from i2i_runtime.errors import UsageError


def check_stages(stages: Sequence[Stage], parameters: Iterable[nn.Parameter], accumulate: int) -> None:
    """Ask it all.

    Raises UsageError where batches cannot be computed in so many micro-batches, and TrainingError where an optimizer
    holds something else than the `parameters` of the trainer's networks.
    """
    known = {id(parameter) for parameter in parameters}
    for stage in stages:
        _check_micro_batches(stage, accumulate)
        for phase in stage.phases:
            _check_owned(phase, known)


def _check_micro_batches(stage: Stage, accumulate: int) -> None:
    if stage.batch_size % accumulate:
        raise UsageError(
            found=f"batches of {stage.batch_size} in {accumulate} equal micro-batches",
            expected="--accumulate to divide the batch size",
            fix=f"use --batch-size {accumulate} or a multiple of it",
        )
    if stage.keep_shared and accumulate > 1:
        raise UsageError(
            found=f"batches in {accumulate} micro-batches, and a stage {stage.name!r} that computes what its phases "
            "share once for the whole batch",
            expected="--accumulate 1",
            fix="use a smaller --batch-size",
        )


def _check_owned(phase: Phase, known: set[int]) -> None:
    held = [p for group in phase.optimizer.param_groups for p in group["params"]]
    if any(id(parameter) not in known for parameter in held):
        raise TrainingError(
            found=f"the optimizer of phase {phase.name!r} holds a parameter of no network",
            expected="only parameters of `Trainer.networks`, which is what checkpoints keep",
            fix="add the network to `networks`, and build optimizers in `stages()`",
        )
