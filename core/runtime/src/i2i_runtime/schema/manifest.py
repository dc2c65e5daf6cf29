"""The manifest of a bundle: what lies in it, what it can do, where it comes from, and how exact it was measured to be.

A bundle is a folder, or the same folder zipped: `manifest.json` and one .onnx file per graph (docs/bundle-format.md).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.schema.graphs import MAX_GRAPH_BYTES as MAX_GRAPH_BYTES  # noqa: PLC0414
from i2i_runtime.schema.graphs import GraphFile as GraphFile  # noqa: PLC0414
from i2i_runtime.schema.graphs import Sha256, check_tensors
from i2i_runtime.schema.graphs import TensorSpec as TensorSpec  # noqa: PLC0414
from i2i_runtime.schema.operations import MAX_PARTS, ImageInput, Landmarks, Name, Operation, Record

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or a new one must not be ignored; readers refuse a higher number."""

MANIFEST_FILE = "manifest.json"

MANIFEST_KEY = "i2i_manifest"
"""Metadata key under which every .onnx carries the manifest (JSON), so that a lone file explains itself."""

GRAPH_KEY = "i2i_graph"
"""Metadata key under which every .onnx carries its own name among the manifest's graphs."""

Precision = Literal["fp32", "fp16"]


class Licence(Record):
    """The terms of a thing: an SPDX expression, and whatever has to be said beside it."""

    spdx: str
    notes: str = ""
    non_commercial: bool = False


class Paper(Record):
    """The publication a model comes from."""

    title: str
    authors: str
    year: int
    arxiv: str = ""
    code: str = ""
    """Where the official implementation lives."""


class ParityCase(Record):
    """One comparison of onnxruntime with torch: the worst output of one graph on one input."""

    graph: Name
    output: Name
    batch: PositiveInt
    height: NonNegativeInt = 0
    """pixels, of the first image fed or else of the largest map; 0 for graphs without either"""
    width: NonNegativeInt = 0
    inputs: str
    """what was fed: "images", "white", "noise" ..."""
    max_abs: NonNegativeFloat
    relative: NonNegativeFloat
    """max_abs divided by the largest absolute value of torch's output"""
    levels: NonNegativeFloat | None = None
    """max_abs in steps of an 8-bit image; None for outputs that are no image"""
    sensitivity: NonNegativeFloat | None = None
    """Only where `relative` is above the tolerance and the input is to blame: how far torch's own output moves,
    relative to its largest value, when the input changes by a millionth. An image of one colour can do that to a
    network of norms, which then divide by almost nothing; no two machines agree there, and this is the bound."""

    outlier_error: NonNegativeFloat | None = None
    """Only for graphs that round to 8 bits inside: the largest error of the few values that this moves by a whole step
    (the graph says which share), relative to torch's largest value, of an image at least to 1. All other figures
    leave these values out."""


class Parity(Record):
    """The record of the parity gate: a bundle exists only because every case passed."""

    tolerance: NonNegativeFloat
    """largest `relative` error allowed of any graph"""
    tolerances: dict[Name, NonNegativeFloat] = Field(default_factory=dict)
    """graph -> its own, where it is not `tolerance`; bundles of before have none"""
    relative: NonNegativeFloat
    """largest relative error measured, over the cases without `sensitivity`"""
    levels: NonNegativeFloat | None = None
    """largest error of an image in 8-bit steps, over the same cases; None when no output is an image"""
    reference: str
    """what onnxruntime was compared with: "torch eager, fp32, CPU" """
    cases: Annotated[tuple[ParityCase, ...], Field(min_length=1, max_length=10_000)]
    versions: dict[str, str]

    def tolerance_of(self, graph: str) -> float:
        """The largest `relative` error allowed of this graph."""
        return self.tolerances.get(graph, self.tolerance)

    def closest(self) -> tuple[float, float]:
        """Of the graph that is closest to its limit: the largest `relative` error, and what is allowed."""
        errors = {case.graph: 0.0 for case in self.cases}
        for case in self.cases:
            if case.sensitivity is None:
                errors[case.graph] = max(errors[case.graph], case.relative)
        pairs = [(error, self.tolerance_of(graph)) for graph, error in errors.items()]
        return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else pair[0])


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
            for value in operation.inputs:
                if isinstance(value, ImageInput) and value.face:
                    self._check_landmarks(value.face)
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

    def operation(self, name: str) -> Operation | None:
        """The operation of this name, or None."""
        return next((operation for operation in self.operations if operation.name == name), None)
