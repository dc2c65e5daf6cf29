"""Our side of a training step: the engine of `i2i-registry train`, on one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor

from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_toolkit.engine.devices import open_accelerator
from i2i_toolkit.engine.loop import Engine
from i2i_toolkit.engine.state import Cursor

from . import Losses


class OneBatch:
    """A data source that gives the same batch at every step."""

    def __init__(self, batch: Mapping[str, Tensor]) -> None:
        self.batch = batch
        self.count = len(next(iter(batch.values())))

    def draw(self, position: int) -> Mapping[str, Tensor]:
        """Return the batch's samples, over and over."""
        return {name: samples[position % self.count] for name, samples in self.batch.items()}

    def preview(self, count: int) -> Mapping[str, Tensor]:
        """Return the first `count` samples."""
        return {name: samples[:count] for name, samples in self.batch.items()}

    def describe(self) -> Mapping[str, int]:
        """How many samples there are."""
        return dict.fromkeys(self.batch, self.count)


def our_step(
    trainer: AnyTrainer,
    batch: Mapping[str, Tensor],
    precision: Literal["fp32", "bf16"] = "fp32",
    stage: int = 0,
) -> Callable[[], Losses]:
    """Return a function that trains for one step of that stage on the CPU and gives what the engine reports of it.

    The first one begins the stage.
    """
    engine = Engine(trainer, OneBatch(batch), accelerator=open_accelerator("cpu", precision))
    engine.cursor = Cursor(stage=stage, step=0, phase=0)
    reports = (report.values for report in engine.phases() if report.step_complete)
    return lambda: next(reports)
