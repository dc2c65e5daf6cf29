"""From single samples to batches, in the order of their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from i2i_registry.interfaces.data import DataSource, Tensors
from i2i_registry.interfaces.trainer import unchanged


class _Positions(Dataset[Tensors]):
    def __init__(self, source: DataSource, prepare: Callable[[Tensors], Tensors]) -> None:
        self._source, self._prepare = source, prepare

    def __getitem__(self, index: int) -> Tensors:
        return self._prepare(self._source.draw(index))


def batches(
    source: DataSource,
    *,
    first: int,
    stride: int,
    batch_size: int,
    count: int,
    workers: int = 0,
    prepare: Callable[[Tensors], Tensors] = unchanged,
) -> Iterator[Tensors]:
    """`count` batches; batch i holds the samples at first + i * stride, ..., + batch_size - 1, each after `prepare`.

    `workers` background processes load ahead; 0 loads when a batch is asked for.
    """
    positions = (list(range(start, start + batch_size)) for start in range(first, first + count * stride, stride))
    loader = DataLoader(
        _Positions(source, prepare),
        batch_sampler=positions,  # pyright: ignore[reportArgumentType] - any iterable of lists will do
        num_workers=workers,
        collate_fn=stack_samples,
        generator=torch.Generator(),  # of its own: the global one belongs to the phases
    )
    yield from loader


def stack_samples(samples: list[Tensors]) -> dict[str, Tensor]:
    """Stack samples to one batch: a new first axis for each name."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def split(batch: Tensors, parts: int) -> list[Tensors]:
    """Return the batch in `parts` equal micro-batches, in order."""
    if parts == 1:
        return [batch]
    chunks = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: chunk[index] for name, chunk in chunks.items()} for index in range(parts)]
