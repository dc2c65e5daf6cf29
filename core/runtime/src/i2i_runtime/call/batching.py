"""Columns of a call through the graphs of an operation: grouped, batched, and nothing computed twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.device.sessions import Sessions
from i2i_runtime.kinds.columns import Column
from i2i_runtime.schema.operations import GraphCall, Operation, Output
from i2i_runtime.schema.wiring import needed_steps

Arrays: TypeAlias = dict[str, NDArray[np.generic]]
"""value name -> tensor"""

Columns: TypeAlias = Mapping[str, Column]
"""value name -> what it is in each item"""


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

    def run(self, columns: Columns, count: int) -> Iterator[tuple[int, Arrays]]:
        """Yield the wanted tensors of each of `count` items, without batch axis, in the order they are done.

        Index, tensors.

        What a caller brings in place of steps (`given`) is among the columns.
        """
        names = [output.name for output in self.wanted]
        for labels, items in groups(self.operation, columns, count):
            steps = needed_steps(self.operation.steps_for(labels), names, self.given)
            shared, rest = self._run_shared(columns, items, steps)
            for start in range(0, len(items), self.batch):
                part = items[start : start + self.batch]
                tensors = self._run_batch(columns, part, shared, rest)
                for row, index in enumerate(part):
                    yield index, {name: tensors[name][row] for name in names}

    def _run_shared(
        self, columns: Columns, items: Sequence[int], steps: Sequence[GraphCall]
    ) -> tuple[Arrays, list[GraphCall]]:
        """Return what is the same for all items, computed once: a style that a hundred images get is read once.

        Returns those values, with a batch axis of 1, and the steps that remain to be run for each item.
        """
        fed = {name for step in steps for name in step.inputs.values()} & columns.keys()
        equal = [name for name in fed if len({columns[name].identity(index) for index in items}) == 1]
        known, rest = stacked(columns, equal, items[:1]), list[GraphCall]()
        for step in steps:
            if known.keys() >= set(step.inputs.values()):
                known |= run_step(self.sessions, step, known)
            else:
                rest.append(step)
        return known, rest

    def _run_batch(self, columns: Columns, items: Sequence[int], shared: Arrays, steps: Sequence[GraphCall]) -> Arrays:
        """Return the values of some items that fit into one batch, from the steps that are left."""
        fed = {output.name for output in self.wanted} | {name for step in steps for name in step.inputs.values()}
        # An output may carry the name of an input: only what a step takes, or the caller gave, comes from the columns.
        taken = {name for step in steps for name in step.inputs.values()} | set(self.given)
        known = stacked(columns, (fed & taken & columns.keys()) - shared.keys(), items)
        known |= {name: np.repeat(shared[name], len(items), axis=0) for name in fed & shared.keys()}
        for step in steps:
            known |= run_step(self.sessions, step, known)
        return known


def stacked(columns: Columns, names: Collection[str], items: Sequence[int]) -> Arrays:
    """Tensors of some items, with a batch axis."""
    return {name: np.stack([columns[name].tensor(index) for index in items]) for name in names}


def groups(operation: Operation, columns: Columns, count: int) -> list[tuple[dict[str, str], list[int]]]:
    """Items that may share a run: all shapes are equal, and so are the classes that choose steps, which come first."""
    branching = sorted({name for step in operation.steps for name in step.when})
    found: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for index in range(count):
        shapes = tuple(column.shape(index) for column in columns.values())
        found[(shapes, *(columns[name].choice(index) for name in branching))].append(index)
    return [({name: str(columns[name].choice(items[0])) for name in branching}, items) for items in found.values()]


def run_step(sessions: Sessions, step: GraphCall, known: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """Return the values that a step makes of those known."""
    feeds = {name: known[value] for name, value in step.inputs.items()}
    count = len(next(iter(feeds.values())))
    feeds |= {name: np.full(count, number, np.float32) for name, number in step.constants.items()}
    made = sessions.run(step.graph, feeds, list(step.outputs))
    return {step.outputs[name]: tensor for name, tensor in made.items()}
