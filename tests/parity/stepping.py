"""One recorded training step, repeated by the real engine: the part that no adapter needs to know a paper for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_toolkit.engine.devices import open_accelerator
from i2i_toolkit.engine.loop import Engine
from i2i_toolkit.engine.state import Cursor

from .comparison import Row
from .recording import Recording

OurKey = Callable[[str, str], str]
"""(official name of a network, official key inside it) -> our key inside the network"""

OPTIMIZER_ALONE = 1e-3
"""tolerance, as a share of the movement: nothing but the optimizer's own rounding is in it"""


def load(network: nn.Module, official: str, recording: Recording, our_key: OurKey, *, derived: str = "//") -> None:
    """Fill a network; every official tensor has its place, and every place its tensor.

    Tensors whose name has `derived` in it follow from others, and our networks do not have them.
    """
    state = {key: tensor for key, tensor in recording.under(f"state/{official}/").items() if derived not in key}
    network.load_state_dict({our_key(official, key): tensor for key, tensor in state.items()})


def engine_of(trainer: AnyTrainer, batch: Mapping[str, Tensor], start: Cursor | None = None) -> Engine:
    """The real engine, on the recorded images, before the step to be made."""
    engine = Engine(trainer, RecordedBatch(batch), accelerator=open_accelerator("cpu"))
    engine.cursor = start or engine.cursor
    return engine


class RecordedBatch:
    """The recorded images over and over, as the engine's source of samples."""

    def __init__(self, batch: Mapping[str, Tensor]) -> None:
        self.batch = batch

    def draw(self, position: int) -> Mapping[str, Tensor]:
        """One of the images."""
        return {name: images[position % len(images)] for name, images in self.batch.items()}

    def preview(self, count: int) -> Mapping[str, Tensor]:
        """The first images."""
        return {name: images[:count] for name, images in self.batch.items()}

    def describe(self) -> Mapping[str, int]:
        """How many there are."""
        return {name: len(images) for name, images in self.batch.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """What one step of our code computed."""

    losses: Mapping[str, float]
    """under "<phase>/<loss>", as the engine reports them"""
    gradients: Mapping[str, Tensor]
    """under the recorded keys; those that our code computes none of are missing"""


class StepTolerances(NamedTuple):
    """What a step may be off, as in `Recording`."""

    loss: float
    gradient: float
    after: float


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """The step that a file holds, where its tensors are in our networks, and what may differ."""

    recording: Recording
    names: Mapping[str, str]
    """official name of a network -> ours"""
    our_key: OurKey
    learning_rate: float
    tolerances: StepTolerances
    updates: Mapping[str, int] = field(default_factory=dict[str, int])
    """official name of a network -> how often the step updates it, where that is not once"""
    unlearned: frozenset[str] = frozenset()
    """parameters, under the recorded keys, that cancel out of every loss: the release computes a gradient of 0"""

    def load(self, trainer: AnyTrainer) -> None:
        """Fill all networks of a trainer that the file holds."""
        for official in self.recording.networks():
            load(trainer.all_networks[self.names[official]], official, self.recording, self.our_key)

    def run(
        self,
        trainer: AnyTrainer,
        batch: Mapping[str, Tensor],
        watch: Callable[[str], None] = lambda _phase: None,
        start: Cursor | None = None,
    ) -> Found:
        """One step of the engine on `batch`; `watch` is called with the name of every phase that has ended.

        Of several updates of one network the gradients of the first are kept: they are the recorded ones.
        """
        gradients: dict[str, Tensor] = {}
        for report in engine_of(trainer, batch, start).phases():
            gradients = self._gradients(trainer) | gradients
            watch(report.phase)
            if report.step_complete:
                return Found(losses=report.values, gradients=gradients)
        raise ValueError("a trainer without phases")

    def check(self, trainer: AnyTrainer, found: Found, losses: Mapping[str, float]) -> Iterator[Row]:
        """Compare losses (under the official names), gradients, and where the tensors are after the step."""
        for key in sorted(self.recording.under("loss/").keys() & losses.keys()):
            yield self.recording.loss(key, losses[key], self.tolerances.loss)
        for key in self.recording.under("grad/"):
            yield self.recording.gradient(key, found.gradients.get(key), self.tolerances.gradient)
        for key in self.recording.under("after/"):
            steps = self.updates.get(key.partition("/")[0], 1)
            yield from self.recording.after(
                key, self._tensor(trainer, key), self.tolerances.after, self.learning_rate, steps
            )

    def check_optimizers(self, fresh: AnyTrainer, stage: int = 0) -> Iterator[Row]:
        """One step of a fresh trainer from the recorded gradients: a wrong optimizer apart from a wrong gradient.

        Of a network that several phases of the step update, the recorded gradient is that of the first alone, and
        nothing can be said.
        """
        phases = fresh.stages()[stage].phases
        updates = Counter(id(p) for phase in phases for group in phase.optimizer.param_groups for p in group["params"])
        gradients = {
            k: g for k, g in self.recording.under("grad/").items() if updates[id(self._parameter(fresh, k))] == 1
        }
        for key, gradient in gradients.items():
            self._parameter(fresh, key).grad = gradient.clone()
        for phase in phases:
            for _ in range(phase.repeat):
                phase.optimizer.step()
            phase.after()
        for key in gradients:
            if f"after/{key}" in self.recording.tensors:
                movement = self.recording.movement(key, self.learning_rate)
                error = (self._tensor(fresh, key) - movement.after).abs().max().item() / movement.scale
                yield self.recording.row(f"optimizer alone: {key}", error, OPTIMIZER_ALONE)

    def _gradients(self, trainer: AnyTrainer) -> dict[str, Tensor]:
        """What the phase that has just ended has left: the engine clears the gradients before each."""
        parameters = {key: self._parameter(trainer, key) for key in self.recording.under("grad/")}
        still = {key: torch.zeros_like(p) for key, p in parameters.items() if key in self.unlearned}
        return still | {key: p.grad.clone() for key, p in parameters.items() if p.grad is not None}

    def _parameter(self, trainer: AnyTrainer, key: str) -> nn.Parameter:
        official, inner = key.split("/")
        return trainer.all_networks[self.names[official]].get_parameter(self.our_key(official, inner))

    def _tensor(self, trainer: AnyTrainer, key: str) -> Tensor:
        """The parameter or buffer "<official network>/<official key>"."""
        official, inner = key.split("/")
        return trainer.all_networks[self.names[official]].state_dict()[self.our_key(official, inner)]
