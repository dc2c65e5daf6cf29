"""How exact a bundle was measured to be, as records."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from i2i_runtime.records import Name, Record

Precision = Literal["fp32", "fp16"]


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
        """Return the largest `relative` error allowed of this graph."""
        return self.tolerances.get(graph, self.tolerance)

    def closest(self) -> tuple[float, float]:
        """Of the graph that is closest to its limit: the largest `relative` error, and what is allowed."""
        errors = {case.graph: 0.0 for case in self.cases}
        for case in self.cases:
            if case.sensitivity is None:
                errors[case.graph] = max(errors[case.graph], case.relative)
        pairs = [(error, self.tolerance_of(graph)) for graph, error in errors.items()]
        return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else pair[0])
