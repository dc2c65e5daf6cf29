"""Counts what a training will take: one step of every stage, computed on tensors that have shapes and no values.

Multiplications are those of torch's own registry of operators (`torch.utils.flop_counter`), memory is what autograd
saves for the backward pass. Nothing of the training's size is allocated, and no plugin writes an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from i2i_registry.interfaces.data import DataSource, Tensors
from i2i_registry.interfaces.trainer import AnyTrainer, Stage, Step
from i2i_toolkit.data.batches import stack_samples

IMAGE_DIMS = 4
"""Batches of this many dims or more are images, whose values decide nothing; smaller ones may say a size."""
COPIES = 4
"""Of every parameter: itself, its gradient, and the two moments of Adam."""
WORKING = 2
"""Over what is saved for the backward pass: on the way back as much again is made, and left."""
FEWEST_STEPS = 50
"""A shorter training is over before it is counted."""
MOST_STAGES = 3
"""How many stages are counted; the work of those in between grows evenly from one to the next."""

Batch: TypeAlias = Mapping[str, Tensor]
AnyStage: TypeAlias = Stage[Any]


@dataclass(frozen=True, slots=True)
class Work:
    """What a training computes, whatever machine it runs on."""

    multiplications: float
    calls: float
    """of operators"""
    moved: float
    """numbers of parameters that an optimizer moves, in all steps together"""
    memory: int
    """bytes at the most expensive moment"""


def count_work(trainer: AnyTrainer, source: DataSource, *, accumulate: int = 1) -> Work | None:
    """Count what the whole training computes; the trainer itself is left as it is.

    `accumulate` is the number of micro-batches a batch. None: the training is very short, or the trainer reads values
    of images or parameters while it computes, and cannot be counted without them.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            return _Count(trainer, source, accumulate).work()
    except (RuntimeError, NotImplementedError, TypeError):
        return None


class _Operators(TorchDispatchMode):
    """Adds up the operators that run inside: how many, and how many multiplications."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.multiplications = 0.0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        out = func(*args, **(kwargs or {}))
        self.calls += 1
        count: Callable[..., int] | None = flop_registry.get(func._overloadpacket)  # noqa: SLF001 - the registry's key
        if count is not None:
            self.multiplications += count(*args, **(kwargs or {}), out_val=out) / 2  # with each an addition
        return out


@dataclass
class _Saved:
    """Bytes that autograd keeps for the backward pass; storages that several operators keep count once."""

    storages: dict[int, torch.UntypedStorage] = field(default_factory=dict[int, torch.UntypedStorage])

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.storages[storage._cdata] = storage  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its identity
        return tensor

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


class _Count:
    def __init__(self, trainer: AnyTrainer, source: DataSource, accumulate: int) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._source = source
        self._accumulate = accumulate
        with self._mode:
            self._trainer = type(trainer)(type(trainer.model)(trainer.model.config), trainer.options)
            self._stages: Sequence[AnyStage] = self._trainer.stages()
        self._networks = self._trainer.all_networks
        for name, network in self._networks.items():
            _give_single_values(network, trainer.all_networks[name])

    def work(self) -> Work | None:
        stages = self._stages
        if sum(stage.steps for stage in stages) < FEWEST_STEPS:
            return None
        samples = [stage.steps * stage.batch_size for stage in stages]
        places = sorted({round(place * (len(stages) - 1) / (MOST_STAGES - 1)) for place in range(MOST_STAGES)})
        counted = {p: self._step(stages[p], self._batch(stages[p], sum(samples[:p]) + samples[p] // 2)) for p in places}
        steps = [_between(counted, place) for place in range(len(stages))]
        repeated = [(stage.steps, step) for stage, step in zip(stages, steps, strict=True)]
        held = sum(p.numel() * p.element_size() for network in self._networks.values() for p in network.parameters())
        return Work(
            multiplications=sum(count * step.multiplications for count, step in repeated),
            calls=sum(count * step.calls for count, step in repeated),
            moved=sum(count * step.moved for count, step in repeated),
            memory=COPIES * held + WORKING * max(step.memory for step in steps),
        )

    def _batch(self, stage: AnyStage, position: int) -> Batch:
        """Return a micro-batch of one sample, repeated."""
        sample = stage.sample(self._source.draw(position))
        return self._without_values(stack_samples([sample] * max(stage.batch_size // self._accumulate, 1)))

    def _without_values(self, batch: Tensors) -> Batch:
        return {
            name: self._mode.from_tensor(tensor) if tensor.ndim >= IMAGE_DIMS else tensor
            for name, tensor in batch.items()
        }

    def _step(self, stage: AnyStage, batch: Batch) -> Work:
        """One step: what the phases share, then each phase forward and back."""
        with _counting() as (operators, saved):
            shared = None if stage.shared is None else stage.shared(Step(number=1, batch=batch, shared=None))
        multiplications, calls, moved, largest = operators.multiplications, float(operators.calls), 0.0, 0
        for phase in stage.phases:
            owned = [p for group in phase.optimizer.param_groups for p in group["params"]]
            _freeze_all_but(owned, self._networks)
            with _counting() as (operators, kept):
                losses = phase.losses(Step(number=1, batch=batch, shared=shared))
                total = torch.stack([loss.float() for loss in losses.values()]).sum()
                total.backward(inputs=owned, retain_graph=True)  # pyright: ignore[reportUnknownMemberType]
            multiplications += operators.multiplications / phase.every
            calls += operators.calls / phase.every
            moved += phase.repeat * sum(p.numel() for p in owned) / phase.every
            largest = max(largest, kept.bytes)
        return Work(self._accumulate * multiplications, self._accumulate * calls, moved, saved.bytes + largest)


def _between(counted: Mapping[int, Work], place: int) -> Work:
    """Return the work of a stage, from those counted before and after it."""
    before, after = max(p for p in counted if p <= place), min(p for p in counted if p >= place)
    share = (place - before) / (after - before) if after > before else 0.0

    def even(first: float, last: float) -> float:
        return first * (last / first) ** share if first and last else first + share * (last - first)

    first, last = counted[before], counted[after]
    return Work(
        even(first.multiplications, last.multiplications),
        even(first.calls, last.calls),
        even(first.moved, last.moved),
        int(even(first.memory, last.memory)),
    )


@contextmanager
def _counting() -> Generator[tuple[_Operators, _Saved]]:
    operators, saved = _Operators(), _Saved()
    with operators, saved_tensors_hooks(saved.note, _itself):
        yield operators, saved


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _freeze_all_but(owned: Sequence[nn.Parameter], networks: Mapping[str, nn.Module]) -> None:
    ids = {id(parameter) for parameter in owned}
    for network in networks.values():
        for parameter in network.parameters():
            parameter.requires_grad = id(parameter) in ids


def _give_single_values(network: nn.Module, real: nn.Module) -> None:
    """Counters, flags and amplitudes as they are: what is computed may depend on them."""
    for path, module in network.named_modules():
        others = dict(real.get_submodule(path).named_buffers(recurse=False))
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.numel() == 1:
                setattr(module, name, others[name].detach().clone())
