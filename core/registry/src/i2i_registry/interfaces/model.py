"""The Model interface: a paper at one configuration.

A plugin derives `Model` once. Everything a user does with the paper (train, import, export, run) goes through it.
Torch appears in annotations only, so that this module can be imported without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from i2i_runtime.schema.operations import Operation, Record

if TYPE_CHECKING:
    from torch import nn

C = TypeVar("C", bound=Record, covariant=True)  # noqa: PLC0105 - reads better than C_co


@dataclass(frozen=True, slots=True)
class Axis:
    """A free axis of a graph input. Axes of one name have one length in a call; "batch" and image sides, mostly."""

    name: str
    example: int
    """length while tracing, and the first one that parity is measured at; at least 2"""
    multiple: int = 1
    minimum: int = 1


@dataclass(frozen=True, slots=True)
class GraphInput:
    """One tensor that a graph takes, and how to make honest test values for it."""

    name: str
    axes: tuple[int | Axis, ...]
    values: Literal["image", "normal", "uniform", "index", "whole"]
    """image: real images in [-1, 1] (and extremes of it); normal: N(0, 1); uniform: U(-1, 1);
    index: int64 in [0, count); whole: float32, the whole numbers in [0, count)"""
    count: int = 0


@dataclass(frozen=True, slots=True)
class OutlierTolerance:
    """Leave for a few values to miss a graph's tolerance, where the paper itself rounds between its layers.

    A difference of a millionth moves a value that sits on a step of 8 bits by the whole step, and all that follows
    from it; how many do is a matter of chance, and small.
    """

    share: float
    """of an output's values"""
    tolerance: float
    """largest error of those, relative to torch's largest value"""
    reason: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A module with plain tensor inputs, in the order given here, that the exporter turns into one .onnx file.

    `outputs` names what `module(*inputs)` returns, a tensor or a tuple of them. The first axis of every input and
    output is the batch.
    """

    module: nn.Module
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    images: frozenset[str] = frozenset()
    """the outputs whose error is also told in 8-bit steps; values in [-1, 1]"""
    tolerance: float = 1e-4
    """largest error of an fp32 graph allowed, relative to torch's largest value; a looser one needs a reason"""
    outliers: OutlierTolerance | None = None
    """values that may be further off; None: none may"""


class Model(ABC, Generic[C]):
    """A paper at one configuration: its inference networks, what they can do, and the graphs to export."""

    name: ClassVar[str]
    Config: ClassVar[type[Record]]
    """frozen pydantic model, unknown fields refused; defaults are the paper's values"""
    presets: ClassVar[Mapping[str, Record]]
    """named configurations with the paper's values; the first is the default"""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks whose tensors are the weights: name -> module, the same objects at every call.

        A weights file holds each tensor under "<network>.<key of its state dict>".
        """

    @abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """What the model does, wired to the names of `graphs()`."""

    @abstractmethod
    def graphs(self) -> Mapping[str, Graph]:
        """The modules to export; they share their parameters with `networks`."""

    @classmethod
    @abstractmethod
    def shrunk(cls, config: C) -> C:  # pyright: ignore[reportGeneralTypeIssues] - asked with a Config of the class
        """The same structure as small as it gets (seconds to train on a CPU), for tests."""
