"""What a model declares, held against itself: operations that its graphs can compute, and graphs that they can feed.

Asked before a training takes its first step and before a checkpoint is stored, so that nobody trains for days what no
export can ever carry. What only running tells is the exporter's to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from i2i_registry.interfaces.config_values import as_set
from i2i_registry.interfaces.model import Axis, Graph, GraphInput, Model
from i2i_runtime.errors import OptionError
from i2i_runtime.schema.operations import GraphCall, ImageInput, Operation, Record, SizeRule


def check_declarations(model: Model[Record]) -> None:
    """Raises OptionError when the model's Config has no operations, or some that its graphs do not compute."""
    try:
        reason = contradiction(model.operations(), model.graphs())
    except ValidationError as error:
        reason = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
    except ValueError as error:
        reason = str(error)
    if reason is None:
        return
    config, usual = model.config, next(iter(type(model).presets.values()))
    changed = [key for key, value in usual if getattr(config, key) != value and isinstance(value, int | float | str)]
    given = ", ".join(f"{key}={getattr(config, key)}" for key in changed)
    raise OptionError(
        found=f"{model.name} with {given or 'the values of its preset'}: {reason}",
        expected="values with which what is trained can be exported and run",
        fix=f"values that go together: {as_set(usual, changed)}" if changed else "this is a fault of the plugin",
    )


def contradiction(operations: tuple[Operation, ...], graphs: Mapping[str, Graph]) -> str | None:
    """The first thing that an operation promises and no graph keeps, in words."""
    return next((found for operation in operations for found in _contradictions(operation, graphs)), None)


def _contradictions(operation: Operation, graphs: Mapping[str, Graph]) -> Iterator[str]:
    images = {value.name: value for value in operation.inputs if isinstance(value, ImageInput)}
    for step in operation.steps:
        graph = graphs.get(step.graph)
        if graph is None:
            yield f"{operation.name} calls a graph {step.graph!r}; there are {', '.join(sorted(graphs)) or 'none'}"
            return
        yield from _misfed(operation, step, graph)
        fed = {tensor.name: tensor for tensor in graph.inputs}
        for target, source in step.inputs.items():
            if source in images and target in fed:
                yield from _misfit(operation, step.graph, fed[target], images[source])


def _misfed(operation: Operation, step: GraphCall, graph: Graph) -> Iterator[str]:
    takes, given = {tensor.name for tensor in graph.inputs}, {*step.inputs, *step.constants}
    if takes != given:
        yield f"graph {step.graph!r} takes {sorted(takes)}, and {operation.name} feeds {sorted(given)}"
    if not set(step.outputs) <= set(graph.outputs):
        yield f"graph {step.graph!r} gives {list(graph.outputs)}, and {operation.name} uses {sorted(step.outputs)}"


def _misfit(operation: Operation, graph: str, tensor: GraphInput, image: ImageInput) -> Iterator[str]:
    channels = tensor.axes[1]
    if channels != image.channels:
        yield (
            f"graph {graph!r} takes {tensor.name!r} with {channels} channels, and {operation.name} feeds it an image "
            f"of {image.channels}"
        )
    if not _allows(tensor, image.size):
        yield (
            f"graph {graph!r} takes {tensor.name!r} with the sides {tensor.axes[2:]}, and {operation.name} promises "
            f"{image.size.describe()}"
        )


def _allows(tensor: GraphInput, rule: SizeRule) -> bool:
    """Whether every size that the rule accepts is one that the graph accepts."""
    for axis, own in zip(tensor.axes[2:], (rule.height, rule.width), strict=False):
        if isinstance(axis, Axis):
            multiple, minimum = (rule.multiple, rule.minimum) if rule.dynamic else (own, own)
            if multiple % axis.multiple or minimum < axis.minimum:
                return False
        elif rule.dynamic or axis != own:
            return False
    return True
