"""Items of a call through the graphs of an operation: grouped, batched, and nothing computed twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.call.arguments import Item
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.schema.operations import GraphCall, Operation, Output
from i2i_runtime.schema.wiring import needed_steps

Tensors: TypeAlias = dict[str, NDArray[np.generic]]
"""value name -> tensor"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation."""

    operation: Operation
    sessions: Sessions
    wanted: Sequence[Output]
    given: Collection[str]
    """vectors that the caller brings in place of the steps that make them"""
    batch: int
    """most items in one run of a graph"""

    def run(self, items: Sequence[Item]) -> Iterator[tuple[int, Tensors]]:
        """The wanted tensors of each item, without batch axis, with the item's index; in the order they are done."""
        names = [output.name for output in self.wanted]
        for labels, members in _groups(self.operation, items):
            steps = needed_steps(self.operation.steps_for(labels), names, self.given)
            shared, rest = self._run_shared([items[index] for index in members], steps)
            for start in range(0, len(members), self.batch):
                part = members[start : start + self.batch]
                tensors = self._run_batch([items[index] for index in part], shared, rest)
                for row, index in enumerate(part):
                    yield index, {name: tensors[name][row] for name in names}

    def _run_shared(self, items: Sequence[Item], steps: Sequence[GraphCall]) -> tuple[Tensors, list[GraphCall]]:
        """What is the same for all items, computed once: a style that a hundred images get is read once.

        Returns those values, with a batch axis of 1, and the steps that remain to be run for each item.
        """
        fed = {name for step in steps for name in step.inputs.values()}
        equal = [name for name in fed if len({item.identity(name) for item in items}) == 1]
        known, rest = _stack(self.operation, items[:1], equal), list[GraphCall]()
        for step in steps:
            if known.keys() >= set(step.inputs.values()):
                known |= run_step(self.sessions, step, known)
            else:
                rest.append(step)
        return known, rest

    def _run_batch(self, items: Sequence[Item], shared: Tensors, steps: Sequence[GraphCall]) -> Tensors:
        """The values of some items that fit into one batch, from the steps that are left."""
        fed = {output.name for output in self.wanted} | {name for step in steps for name in step.inputs.values()}
        known = _stack(self.operation, items, fed - shared.keys())
        known |= {name: np.repeat(shared[name], len(items), axis=0) for name in fed & shared.keys()}
        for step in steps:
            known |= run_step(self.sessions, step, known)
        return known


def run_step(sessions: Sessions, step: GraphCall, known: Mapping[str, NDArray[np.generic]]) -> Tensors:
    """The values that a step makes of those known."""
    feeds = {name: known[value] for name, value in step.inputs.items()}
    count = len(next(iter(feeds.values())))
    feeds |= {name: np.full(count, number, np.float32) for name, number in step.constants.items()}
    made = sessions.run(step.graph, feeds, list(step.outputs))
    return {step.outputs[name]: tensor for name, tensor in made.items()}


def _stack(operation: Operation, items: Sequence[Item], names: Collection[str]) -> Tensors:
    """Those of the named values that items bring along, as tensors with a batch axis."""
    values: Tensors = {
        v.name: np.stack([item.tensor(v) for item in items]) for v in operation.inputs if v.name in names
    }
    given = operation.intermediates & set(names) & items[0].vectors.keys()
    values |= {name: np.stack([item.vectors[name] for item in items]) for name in given}
    beside = items[0].maps.keys() & set(names) - values.keys()
    return values | {name: np.stack([item.maps[name] for item in items]) for name in beside}


def _groups(operation: Operation, items: Sequence[Item]) -> list[tuple[dict[str, str], list[int]]]:
    """Indices of items that may share a run: images and results of one size, the labels that choose steps equal."""
    branching = sorted({name for step in operation.steps for name in step.when})
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        shapes = [fitted.pixels.shape for fitted in item.images.values()]
        shapes += [array.shape for array in (*item.vectors.values(), *item.maps.values())]
        groups[(tuple(shapes), *(item.labels[name] for name in branching))].append(index)
    return [({name: items[members[0]].labels[name] for name in branching}, members) for members in groups.values()]
