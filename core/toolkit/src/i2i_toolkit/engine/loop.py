"""The training engine: runs the stages and phases of a Trainer, one optimizer step at a time.

The engine computes and knows nothing of files: `phases()` yields after every optimizer step, and the caller (see
session.py) logs, saves, draws samples or stops there. `snapshot()` and `restore()` are exact at any such point.

Randomness is a function of the place: generators are seeded from (seed, stage, step, rank) before `shared` and from
(seed, stage, step, rank, phase) before each phase. A run that was stopped and resumed draws the same numbers.

A batch is what one process computes in one step: with n processes a step learns from n batches. A phase with `every`
k runs in the steps k, 2k, 3k ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.data import DataSource, Tensors
from i2i_registry.interfaces.evaluating import evaluating
from i2i_registry.interfaces.trainer import AnyTrainer, Phase, Stage, Step
from i2i_toolkit.data.batches import batches, split
from i2i_toolkit.engine.devices import average_gradients, broadcast_from_first, mean_over_processes
from i2i_toolkit.engine.ema import EMA
from i2i_toolkit.engine.networks import Networks
from i2i_toolkit.engine.reports import PhaseReport, StopRequest
from i2i_toolkit.engine.stage_checks import check_rate, check_stages
from i2i_toolkit.engine.state import Cursor, Snapshot, check_snapshot, load_optimizers, optimizer_state
from i2i_toolkit.seeds import derive, seed_everything


@dataclass(slots=True)
class _StepState:
    """What lives as long as one step."""

    parts: list[Tensors]
    """the batch in micro-batches, on the device"""
    shared: object = None
    """what `Stage.shared` returned for the whole batch"""
    is_shared: bool = False
    """whether that has been computed, or there is nothing to compute"""
    values: dict[str, float] = field(default_factory=dict)
    """see `PhaseReport.values`"""


class Engine:
    """One training run in memory: networks, optimizers, EMA, and how far it is.

    Args:
        trainer: the paper's training; its networks are moved to the accelerator's device.
        source: training samples.
        accelerator: device, precision and processes (`devices.open_accelerator`).
        seed: of everything random.
        accumulate: micro-batches a batch is computed in, to save memory; must divide every stage's batch size.
            `shared` is then computed per micro-batch, again for every phase.
        workers: background processes that load samples; 0 loads in between.
        stop: asked after every phase.
    """

    def __init__(
        self,
        trainer: AnyTrainer,
        source: DataSource,
        *,
        accelerator: Accelerator,
        seed: int = 0,
        accumulate: int = 1,
        workers: int = 0,
        stop: StopRequest | None = None,
    ) -> None:
        self.trainer = trainer
        self.source = source
        self.accelerator = accelerator
        self.seed = seed
        self.accumulate = accumulate
        self.workers = workers
        self.stop = stop or StopRequest()
        self.networks = Networks(trainer.all_networks, accelerator.device)
        if accelerator.num_processes > 1:
            broadcast_from_first(self.networks.tensors())
        self.ema = EMA(self.networks.modules, trainer.ema)
        self.stages = tuple(trainer.stages())
        self._initial_rates = _initial_rates(self.stages)
        check_stages(self.stages, self.networks.parameters, accumulate)
        self.cursor = Cursor(stage=0, step=0, phase=0)
        self._step = _StepState(parts=[])
        self._start_buffers: dict[str, Tensor] = {}

    @property
    def total_steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    @property
    def total_step(self) -> int:
        """Complete steps so far, over all stages."""
        complete = max(self.cursor.step - 1, 0)
        return self._steps_before_stage() + complete

    def phases(self) -> Iterator[PhaseReport]:
        """Train from the cursor to the end, yielding after every optimizer step.

        The caller may stop iterating at any report, and must when `report.stop` is true.
        Raises TrainingError when a loss is not finite; the parameters are then those before that phase.
        """
        while self.cursor.stage < len(self.stages):
            stage = self.stages[self.cursor.stage]
            if self.cursor.step == 0:
                self._enter(stage)
            yield from self._stage(stage)
            if self.cursor.stage + 1 == len(self.stages):
                return
            self.cursor = Cursor(stage=self.cursor.stage + 1, step=0, phase=0)

    def weights(self) -> dict[str, Tensor]:
        """Return the model's tensors, "<network>.<key>"; of networks with an EMA, the average."""
        tensors: dict[str, Tensor] = {}
        for name in self.trainer.model.networks:
            state = self.ema.tensors.get(name) or self.networks.modules[name].state_dict()
            tensors |= {f"{name}.{key}": tensor.detach() for key, tensor in state.items()}
        return tensors

    @torch.no_grad()
    def preview(self, batch: Tensors) -> dict[str, Tensor]:
        """Return the trainer's sample images for `batch`: evaluation mode, EMA weights, fixed seed, no gradients.

        Between two steps only: within one, the phases that follow still need the parameters as they are.
        """
        seed_everything(derive(self.seed, "preview"))
        with evaluating(*self.networks.modules.values()), self.ema.applied(), self.accelerator.autocast():
            images = self.trainer.preview(self._to_device(batch))
        return {title: image.float().cpu() for title, image in images.items()}

    def snapshot(self) -> Snapshot:
        """Everything that `restore` needs to go on from here, exactly. Its tensors share memory with the engine's."""
        tensors = self._learned()
        if self.cursor.phase > 0:
            tensors |= {f"start/{key}": value for key, value in self._start_buffers.items()}
            tensors |= self._kept()
        saved_tensors, values = optimizer_state(self._optimizers())
        scaler = self.accelerator.scaler
        return Snapshot(
            cursor=self.cursor,
            tensors=tensors | saved_tensors,
            optimizers=values,
            scaler=dict(scaler.state_dict()) if scaler is not None else {},
            values=dict(self._step.values) if self.cursor.phase > 0 else {},
        )

    def _learned(self) -> dict[str, Tensor]:
        """Return what the networks and their EMA hold, as tensors of a snapshot."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks.modules.items():
            tensors |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
        for name, average in self.ema.tensors.items():
            tensors |= {f"ema/{name}/{key}": value for key, value in average.items()}
        return tensors

    def _kept(self) -> dict[str, Tensor]:
        """Return what the phases share, of a stage that keeps it, as tensors of a snapshot."""
        record = self.stages[self.cursor.stage].keep_shared
        if record is None:
            return {}
        return {f"shared/{key}": getattr(self._step.shared, key).detach() for key in record._fields}

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to where `snapshot` was taken, in an engine built from the same trainer, options and seed.

        Raises TrainingError or CheckpointError when it is not one of this engine's: a stage, phase, tensor or optimizer
        is missing, unknown or of another shape. Networks and EMA are then as they were.
        """
        # Parts of a batch share nothing beyond a phase, so nothing has to be computed again from the step's start.
        at_start = self.networks.copy_of_buffers() if self.accumulate == 1 else {}
        check_snapshot(snapshot, self.stages, self._learned(), at_start)
        self.cursor = snapshot.cursor
        for name in self.networks.modules:
            self.networks.load(name, snapshot.under(f"network/{name}/"))
        for name, average in self.ema.tensors.items():
            saved = snapshot.under(f"ema/{name}/")
            for key, tensor in average.items():
                tensor.copy_(saved[key])
        self._start_buffers = {
            key: value.to(self.accelerator.device) for key, value in snapshot.under("start/").items()
        }
        load_optimizers(self._optimizers(), snapshot)
        if self.accelerator.scaler is not None and snapshot.scaler:
            self.accelerator.scaler.load_state_dict(dict(snapshot.scaler))
        self._step = _StepState(parts=[], values=dict(snapshot.values))
        record, kept = self.stages[self.cursor.stage].keep_shared, self._to_device(snapshot.under("shared/"))
        if record is not None and kept:
            self._step.shared, self._step.is_shared = record(**kept), True

    # -- one stage, one step, one phase ------------------------------------------------------------------------------

    def _enter(self, stage: Stage[Any]) -> None:
        first = next(iter(self._batches(stage, first_step=1, count=1)))
        seed_everything(derive(self.seed, self.cursor.stage, "begin"))
        self.networks.thaw()
        if stage.fresh_optimizers:
            for optimizer in self._optimizers().values():
                optimizer.state.clear()
        stage.begin(self._to_device(first))
        self.cursor = Cursor(stage=self.cursor.stage, step=1, phase=0)

    def _stage(self, stage: Stage[Any]) -> Iterator[PhaseReport]:
        left = stage.steps - self.cursor.step + 1
        for batch in self._batches(stage, first_step=self.cursor.step, count=left, workers=self.workers):
            yield from self._one_step(stage, self._to_device(batch))

    def _batches(self, stage: Stage[Any], *, first_step: int, count: int, workers: int = 0) -> Iterator[Tensors]:
        """Return this process's batches of `count` steps of the current stage."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        earlier = sum(s.steps * s.batch_size * world for s in self.stages[: self.cursor.stage])
        return batches(
            self.source,
            first=earlier + ((first_step - 1) * world + rank) * stage.batch_size,
            stride=world * stage.batch_size,
            batch_size=stage.batch_size,
            count=count,
            workers=workers,
            prepare=stage.sample,
        )

    def _one_step(self, stage: Stage[Any], batch: Tensors) -> Iterator[PhaseReport]:
        number = self.cursor.step
        active = [index for index, phase in enumerate(stage.phases) if number % phase.every == 0]
        inside = self.cursor.phase > 0
        parts, before = split(batch, self.accumulate), self._step
        self._step = _StepState(parts=parts, values=before.values if inside else {})
        if inside and stage.keep_shared:
            self._step.shared, self._step.is_shared = before.shared, before.is_shared
        self._share_once(stage)
        following = Cursor(stage=self.cursor.stage, step=number + 1, phase=0)
        for index in (i for i in active if i >= self.cursor.phase):
            later = [i for i in active if i > index]
            stop = self._phase(stage, stage.phases[index])
            self.cursor = Cursor(stage=following.stage, step=number, phase=later[0]) if later else following
            if not later:
                self._finish_step(number)
            yield self._report(stage, number, stage.phases[index], complete=not later, stop=stop)
        if not active:
            self._finish_step(number)
            self.cursor = following

    def _finish_step(self, number: int) -> None:
        self._step.parts, self._step.shared, self._step.is_shared = [], None, False
        self._start_buffers = {}
        self.ema.update(self._steps_before_stage() + number)

    def _share_once(self, stage: Stage[Any]) -> None:
        """Compute what the phases share; in a step that is resumed half-way, as it was computed at its start."""
        if self._step.is_shared:
            return  # kept from before
        if stage.shared is not None and self.accumulate > 1:
            return  # holding the graphs of all micro-batches would save no memory: each phase computes its own
        self._step.is_shared = True
        if stage.shared is None:
            return
        now = self.networks.copy_of_buffers()
        if self.cursor.phase == 0:
            self._start_buffers = now
            self._step.shared = self._shared(stage.shared, 0)
            return
        self.networks.set_buffers(self._start_buffers)
        self._step.shared = self._shared(stage.shared, 0)
        self.networks.set_buffers(now)

    def _shared(self, compute: Callable[[Step[None]], object], part: int) -> object:
        self.networks.thaw()
        self._seed("shared", part)
        with self.accelerator.autocast():
            return compute(Step(number=self.cursor.step, batch=self._step.parts[part], shared=None))

    def _shared_again(self, compute: Callable[[Step[None]], object], part: int) -> object:
        """`shared` of one micro-batch for one phase; only the first phase's computation moves the buffers."""
        if self.cursor.phase == 0:
            return self._shared(compute, part)
        now = self.networks.copy_of_buffers()
        shared = self._shared(compute, part)
        self.networks.set_buffers(now)
        return shared

    def _phase(self, stage: Stage[Any], phase: Phase[Any]) -> bool:
        """One optimizer step. Returns whether any process asked to stop."""
        owned = [p for group in phase.optimizer.param_groups for p in group["params"]]
        self.networks.clear_gradients()
        sums: dict[str, Tensor] = {}
        for part in range(len(self._step.parts)):
            again = None if self._step.is_shared else stage.shared
            shared = self._step.shared if again is None else self._shared_again(again, part)
            total = self._loss(phase, part, shared, owned, sums)
            # Gradients flow only towards what the phase learns. So the shared graph stays whole for the phases that
            # follow: it ends in parameters that stay as they are until its last use (see `Stage.shared`).
            self._scaled(total).backward(inputs=owned)
        stop = self._settle_losses(stage, phase, sums)
        average_gradients(self.accelerator, owned)
        self._optimize(phase)
        return stop

    def _loss(
        self, phase: Phase[Any], part: int, shared: object, owned: list[nn.Parameter], sums: dict[str, Tensor]
    ) -> Tensor:
        """Return what the phase loses on one micro-batch, in fp32: the sum of its losses, which are added to `sums`."""
        self.networks.freeze_all_but(owned)
        self._seed(phase.name, part)
        with self.accelerator.autocast():
            losses = phase.losses(Step(number=self.cursor.step, batch=self._step.parts[part], shared=shared))
        scaled = {name: loss.float() / self.accumulate for name, loss in losses.items()}
        for name, loss in scaled.items():
            sums[name] = sums[name] + loss.detach() if name in sums else loss.detach()
        return torch.stack(list(scaled.values())).sum()

    def _scaled(self, total: Tensor) -> Tensor:
        return total if self.accelerator.scaler is None else self.accelerator.scaler.scale(total)

    def _settle_losses(self, stage: Stage[Any], phase: Phase[Any], sums: Mapping[str, Tensor]) -> bool:
        """Note the losses, averaged over processes. Returns whether any process asked to stop.

        One exchange and one wait for the device per phase. Every process sees the same values, so all of them stop,
        or raise, together.
        """
        flag = torch.tensor(float(self.stop.raised), device=self.accelerator.device)
        *values, raised = mean_over_processes(self.accelerator, torch.stack([*sums.values(), flag])).tolist()
        for name, value in zip(sums, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    found=f"the loss {name!r} of phase {phase.name!r} is {value} in step {self.cursor.step} "
                    f"of stage {stage.name!r}",
                    expected="finite losses",
                    fix="start a new run with a lower learning rate or in fp32; this one would end the same way again",
                )
            self._step.values[f"{phase.name}/{name}"] = value
        return raised > 0

    def _optimize(self, phase: Phase[Any]) -> None:
        factor, step = phase.learning_rate(self.cursor.step), self.cursor.step
        stage = self.stages[self.cursor.stage].name
        for group, rate in zip(phase.optimizer.param_groups, self._initial_rates[id(phase.optimizer)], strict=True):
            group["lr"] = check_rate(rate * factor, phase.name, stage, step)
        self._step.values[f"rate/{phase.name}"] = phase.optimizer.param_groups[0]["lr"]
        if self._step_once(phase.optimizer):
            for _ in range(phase.repeat - 1):
                phase.optimizer.step()  # along the same gradient, which is unscaled by now
        phase.after()

    def _step_once(self, optimizer: Optimizer) -> bool:
        """One optimizer step. Returns whether there was one: in fp16 a gradient that overflowed is left out."""
        scaler = self.accelerator.scaler
        if scaler is None:
            optimizer.step()
            return True
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        return scaler.get_scale() >= before

    def _report(self, stage: Stage[Any], number: int, phase: Phase[Any], *, complete: bool, stop: bool) -> PhaseReport:
        return PhaseReport(
            stage=stage.name,
            step=number,
            total_step=self._steps_before_stage() + number,
            phase=phase.name,
            values=dict(self._step.values),
            step_complete=complete,
            stop=stop,
        )

    def _steps_before_stage(self) -> int:
        return sum(stage.steps for stage in self.stages[: self.cursor.stage])

    def _seed(self, purpose: str, part: int) -> None:
        rank = self.accelerator.process_index
        seed_everything(derive(self.seed, self.cursor.stage, self.cursor.step, rank, part, purpose))

    def _to_device(self, batch: Tensors) -> dict[str, Tensor]:
        return {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in batch.items()}

    def _optimizers(self) -> dict[str, Optimizer]:
        """Return the current stage's optimizers, each once, under the name of the first phase that uses it."""
        named: dict[str, Optimizer] = {}
        for phase in self.stages[self.cursor.stage].phases:
            if all(optimizer is not phase.optimizer for optimizer in named.values()):
                named[phase.name] = phase.optimizer
        return named


def _initial_rates(stages: Iterable[Stage[Any]]) -> dict[int, list[float]]:
    """id of an optimizer -> the rate each of its groups was built with."""
    optimizers = {id(phase.optimizer): phase.optimizer for stage in stages for phase in stage.phases}
    return {key: [float(group["lr"]) for group in o.param_groups] for key, o in optimizers.items()}
