"""Which axes of a graph are free: as the model declares them, or fixed by the user's `--size`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph
from i2i_runtime.device.memory import memory_in_words
from i2i_runtime.errors import UsageError
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.graphs import GraphFile
from i2i_runtime.schema.operations import Operation

SIDES = ("height", "width")
"""the axis names that `--size` means"""

LEAST_BYTES = 700
"""of each pixel of a fixed size: three images at once, in torch and in onnxruntime, of the smallest network that
ships. Larger networks take more; this much is certain beforehand."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be exported: graphs and operations after `--size` has been applied to both."""

    graphs: Mapping[str, ResolvedGraph]
    operations: tuple[Operation, ...]


def plan(
    graphs: Mapping[str, ResolvedGraph], operations: tuple[Operation, ...], size: int | Literal["dynamic"] | None
) -> Plan:
    """Apply `--size`: a number fixes the axes named height and width, and the size rule of every image.

    Raises UsageError when a network of one size is asked for another, or when "dynamic" is asked of it.
    """
    if size is None:
        return Plan(graphs, operations)
    images = list(_images(operations))
    if not images:
        raise UsageError("--size was given, but no operation takes an image", fix="leave --size away")
    if size == "dynamic":
        for image in images:
            _require_dynamic(image)
        return Plan(graphs, operations)
    for image in images:
        _require_accepted(image, size)
    return Plan(
        graphs={name: fixed(graph, dict.fromkeys(SIDES, size)) for name, graph in graphs.items()},
        operations=tuple(_with_size(operation, size) for operation in operations),
    )


def check_memory(operations: tuple[Operation, ...], size: int | Literal["dynamic"] | None, free: int | None) -> None:
    """Raise UsageError for a `--size` at which comparing alone takes more than the `free` bytes there are."""
    if not isinstance(size, int) or free is None or size * size * LEAST_BYTES <= free:
        return
    own = next((image.size for image in _images(operations)), None)
    raise UsageError(
        found=f"--size {size} takes more than {memory_in_words(size * size * LEAST_BYTES)} of memory",
        expected=f"a size that fits into the {memory_in_words(free)} that are free",
        fix=f"--size {own.height}" if own and own.height == own.width else "leave --size away",
    )


def as_exported(graphs: Mapping[str, ResolvedGraph], files: Mapping[str, GraphFile]) -> dict[str, ResolvedGraph]:
    """Return the model's graphs with those axes fixed that are numbers in the bundle.

    Raises ExportError when the bundle has other graphs, or graphs with other inputs.
    """
    found = {name: tuple(tensor.name for tensor in file.inputs) for name, file in files.items()}
    expected = {name: tuple(graph.inputs) for name, graph in graphs.items()}
    if found != expected:
        raise ExportError(
            found=f"the bundle has the graphs {found}",
            expected=f"{expected}, which is what the model exports now",
            fix="export the weights again with the installed plugin",
        )
    return {name: fixed(graph, _fixed_lengths(graph, files[name])) for name, graph in graphs.items()}


def fixed(graph: ResolvedGraph, lengths: Mapping[str, int]) -> ResolvedGraph:
    """Return the graph with every axis named in `lengths` fixed at that length."""
    return replace(graph, inputs={name: _fixed_form(form, lengths) for name, form in graph.inputs.items()})


def _fixed_form(form: Form, lengths: Mapping[str, int]) -> Form:
    axes = tuple(lengths.get(axis.name, axis) if isinstance(axis, Axis) else axis for axis in form.axes)
    return replace(form, axes=axes)


def _fixed_lengths(graph: ResolvedGraph, file: GraphFile) -> dict[str, int]:
    return {
        axis.name: length
        for form, spec in zip(graph.inputs.values(), file.inputs, strict=True)
        for axis, length in zip(form.axes, spec.shape, strict=True)
        if isinstance(axis, Axis) and isinstance(length, int)
    }


def _images(operations: tuple[Operation, ...]) -> Iterator[ImageInput]:
    for operation in operations:
        yield from operation.of(ImageInput)


def _require_dynamic(image: ImageInput) -> None:
    if not image.size.dynamic:
        raise UsageError(
            found=f"--size dynamic was asked of a network that takes {image.name!r} only at one size",
            expected=image.size.describe(),
            fix="leave --size away",
        )


def _require_accepted(image: ImageInput, size: int) -> None:
    if not image.size.accepts(size, size):
        raise UsageError(
            found=f"--size {size} does not fit the input {image.name!r}",
            expected=image.size.describe(),
            fix=f"--size {image.size.height}" if image.size.height == image.size.width else "leave --size away",
        )


def _with_size(operation: Operation, size: int) -> Operation:
    """Return the operation with every image at exactly `size` x `size`."""
    fixed_size = {"dynamic": False, "height": size, "width": size}
    at_size = {
        image.name: image.model_copy(update={"size": image.size.model_copy(update=fixed_size)})
        for image in operation.of(ImageInput)
    }
    inputs = tuple(at_size.get(value.name, value) for value in operation.inputs)
    return operation.model_copy(update={"inputs": inputs})
