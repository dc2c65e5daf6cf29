"""The graphs of a bundle, as its manifest lists them: files, and the tensors that go in and come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.kinds.forms import Lengths
from i2i_runtime.records import Name, Record, Sha256
from i2i_runtime.schema.operations import MAX_PARTS, GraphCall, HeatmapOutput, ImageOutput, Operation, Output
from i2i_runtime.type_guards import is_json_object

MAX_RANK = 8
"""Axes of a tensor."""

MAX_GRAPH_BYTES = 2**31 - 1
"""One protobuf file ends there, and a graph is one file."""


class TensorSpec(Record):
    """One input or output of a graph. An axis is a number when fixed, a name when free."""

    name: Name
    dtype: Literal["float32", "float16", "int64"]
    shape: Annotated[
        tuple[Annotated[PositiveInt, Field(le=MAX_GRAPH_BYTES)] | Annotated[str, Field(max_length=1000)], ...],
        Field(min_length=1, max_length=MAX_RANK),
    ]

    @property
    def lengths(self) -> Lengths:
        """Its axes, None where they are free."""
        return tuple(side if isinstance(side, int) else None for side in self.shape)


class GraphFile(Record):
    """One .onnx file of the bundle."""

    file: str
    """Path inside the bundle, with forward slashes; never absolute, never through '..' or a link."""
    sha256: Sha256
    size: Annotated[PositiveInt, Field(le=MAX_GRAPH_BYTES)]
    """bytes"""
    inputs: Annotated[tuple[TensorSpec, ...], Field(max_length=MAX_PARTS)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(max_length=MAX_PARTS)]

    @model_validator(mode="before")
    @classmethod
    def _without_data(cls, value: object) -> object:
        """Bundles of 0.1 and before list the files beside the graph, of which there are none."""
        if is_json_object(value) and "data" in value:
            fields = dict(value)
            if fields.pop("data"):
                raise ValueError("the graph keeps weights outside its .onnx file, which no bundle may")
            return fields
        return value


def check_tensors(operation: Operation, graphs: Mapping[str, GraphFile]) -> None:
    """Every value has the type and the axes that the graphs say, from the inputs through all steps to the outputs.

    Raises ValueError that names the operation, the graph and the tensor.
    """
    fed = {name: (form.dtype, form.lengths) for name, form in operation.forms.items()}
    for choice in operation.branches():
        known: dict[str, tuple[str, Lengths]] = dict(fed)
        for step in operation.steps_for(choice):
            _check_step(operation, step, graphs[step.graph], known)
        for output in operation.outputs:
            _check_output(operation, output, known[output.name][1])


def _check_step(operation: Operation, step: GraphCall, graph: GraphFile, known: dict[str, tuple[str, Lengths]]) -> None:
    takes = {tensor.name: tensor for tensor in graph.inputs}
    given = {name: known[value] for name, value in step.inputs.items()}
    given |= dict.fromkeys(step.constants, ("float32", (None,)))
    for name, (dtype, shape) in given.items():
        spec = takes[name]
        if spec.dtype != dtype or not _fits(spec.lengths, shape):
            raise ValueError(
                f"{operation.name}: graph {step.graph!r} takes {name!r} as {spec.dtype}{list(spec.shape)}, "
                f"and gets {dtype}{_shown(shape)}"
            )
    gives = {tensor.name: tensor for tensor in graph.outputs}
    known.update({value: (gives[name].dtype, gives[name].lengths) for name, value in step.outputs.items()})


def _check_output(operation: Operation, output: Output, shape: Lengths) -> None:
    wanted: Lengths | None = None
    if isinstance(output, ImageOutput):
        wanted = (None, output.channels, None, None)
    elif isinstance(output, HeatmapOutput):
        wanted = (None, 1, None, None)
    if not shape or (wanted is not None and not _fits(wanted, shape)):
        due = f", and is to be {_shown(wanted)}" if wanted else ""
        raise ValueError(f"{operation.name}: the {output.kind} {output.name!r} is made as {_shown(shape)}{due}")


def _shown(shape: Lengths) -> str:
    return str([length or "any" for length in shape])


def _fits(left: Lengths, right: Lengths) -> bool:
    """Whether two shapes may be the same; the first axis is the batch, which is the caller's."""
    return len(left) == len(right) and all(
        a is None or b is None or a == b for a, b in zip(left[1:], right[1:], strict=True)
    )
