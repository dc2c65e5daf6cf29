"""The manifest of a bundle: what lies in it, what it can do, where it comes from, and how exact it was measured to be.

A bundle is a folder, or the same folder zipped: `manifest.json` and one .onnx file per graph (docs/bundle-format.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.image.faces import Landmarks
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Name, Record, Sha256
from i2i_runtime.schema.graphs import GraphFile, check_tensors
from i2i_runtime.schema.operations import MAX_PARTS, Operation
from i2i_runtime.schema.parity import Parity, Precision

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or a new one must not be ignored; readers refuse a higher number."""

MANIFEST_FILE = "manifest.json"

MANIFEST_KEY = "i2i_manifest"
"""Metadata key under which every .onnx carries the manifest (JSON), so that a lone file explains itself."""

GRAPH_KEY = "i2i_graph"
"""Metadata key under which every .onnx carries its own name among the manifest's graphs."""


class WeightsSource(Record):
    """The safetensors file that was exported."""

    name: str
    sha256: Sha256
    licence: Licence
    provenance: str
    """one sentence: trained from what, or imported from which file"""


class Manifest(Record):
    """manifest.json of a bundle."""

    schema_version: PositiveInt = SCHEMA_VERSION
    name: str
    model: Name
    """the plugin's model name: "ugatit" """
    paper: Paper
    model_licence: Licence
    weights: WeightsSource
    config: dict[str, object]
    """the model's Config at export, for `verify` and for the record; the runtime does not read it"""
    precision: Precision
    opset: PositiveInt
    operations: Annotated[tuple[Operation, ...], Field(min_length=1, max_length=MAX_PARTS)]
    graphs: Annotated[dict[Name, GraphFile], Field(min_length=1, max_length=MAX_PARTS)]
    parity: Parity
    made_by: dict[str, str]
    """distribution -> version of everything that took part in the export"""

    @model_validator(mode="after")
    def _wired(self) -> Self:
        repeated = [name for name, count in Counter(each.name for each in self.operations).items() if count > 1]
        if repeated:
            raise ValueError(f"the operations {repeated} are there twice")
        for operation in self.operations:
            for image in operation.of(ImageInput):
                if image.face:
                    self._check_landmarks(image.face)
            for step in operation.steps:
                graph = self.graphs.get(step.graph)
                if graph is None:
                    raise ValueError(f"operation {operation.name!r} calls graph {step.graph!r}, which is not here")
                ins, outs = {t.name for t in graph.inputs}, {t.name for t in graph.outputs}
                given = [*step.inputs, *step.constants]
                if sorted(given) != sorted(ins):
                    raise ValueError(f"graph {step.graph!r} takes {sorted(ins)}, the step feeds {sorted(given)}")
                if not set(step.outputs) <= outs:
                    raise ValueError(f"graph {step.graph!r} gives {sorted(outs)}, not {sorted(step.outputs)}")
            check_tensors(operation, self.graphs)
        return self

    def _check_landmarks(self, which: Landmarks) -> None:
        graph = self.graphs.get(which.graph)
        if graph is None or [t.name for t in graph.inputs] != [which.input]:
            raise ValueError(f"landmarks are found by a graph {which.graph!r} of {which.input!r}, which is not here")
        if which.output not in {t.name for t in graph.outputs}:
            raise ValueError(f"graph {which.graph!r} gives no {which.output!r}, where landmarks should be")

    def vector_shapes(self, operation: Operation, names: Collection[str]) -> dict[str, tuple[int, ...]]:
        """Return the shape, without the batch axis, of each of these names that one step makes for another."""
        wanted = operation.intermediates & set(names)
        fed = ((step.graph, name, value) for step in operation.steps for name, value in step.inputs.items())
        shapes: dict[str, tuple[int, ...]] = {}
        for graph, name, value in fed:
            if value in wanted:
                (tensor,) = (tensor for tensor in self.graphs[graph].inputs if tensor.name == name)
                shapes[value] = tuple(side for side in tensor.shape[1:] if isinstance(side, int))
        return shapes
