"""What torch gives for an operation: its steps, run on the model's own modules in the order they are declared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from i2i_conformance.errors import ConformanceError
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import Operation


@torch.no_grad()
def run_graph(graph: ResolvedGraph, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Output name -> tensor, in evaluation mode.

    Raises ConformanceError when the module returns another number of tensors than it declares.
    """
    returned = graph.module.eval()(*(inputs[name] for name in graph.inputs))
    tensors: tuple[Tensor, ...] = (returned,) if isinstance(returned, Tensor) else tuple(returned)
    if len(tensors) != len(graph.outputs):
        raise ConformanceError(
            found=f"{type(graph.module).__name__} returns {len(tensors)} tensor(s)",
            expected=f"one for each of its declared outputs {graph.outputs}",
            fix="wrap the network in a module that returns exactly these, in this order",
        )
    return dict(zip(graph.outputs, tensors, strict=True))


def run_operation(model: Model[Record], operation: Operation, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Output name -> tensor of one operation; `values` holds a tensor per input, labels as int64 [n]."""
    names = {value.name: value.classes for value in operation.inputs if value.classes}
    choice = {name: labels[int(values[name][0])] for name, labels in names.items()}
    graphs = resolved_graphs(model)
    known = dict(values)
    for step in operation.steps_for(choice):
        fed = {name: known[source] for name, source in step.inputs.items()}
        count = len(next(iter(fed.values())))
        fed |= {name: torch.full((count,), number) for name, number in step.constants.items()}
        made = run_graph(graphs[step.graph], fed)
        known |= {target: made[name] for name, target in step.outputs.items()}
    return {output.name: known[output.name] for output in operation.outputs}


def example_inputs(graph: ResolvedGraph, seed: int = 0) -> dict[str, Tensor]:
    """Tensors for every input of a graph, its free axes at their example lengths."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _example(form, generator) for name, form in graph.inputs.items()}


def _example(form: Form, generator: torch.Generator) -> Tensor:
    shape = [axis.example if isinstance(axis, Axis) else axis for axis in form.axes]
    if form.values in {"index", "whole"}:
        numbers = torch.randint(int(form.low), int(form.high) + 1, shape, generator=generator)
        return numbers if form.values == "index" else numbers.float()
    if form.values == "normal":
        return torch.randn(shape, generator=generator)
    return torch.rand(shape, generator=generator) * (form.high - form.low) + form.low
