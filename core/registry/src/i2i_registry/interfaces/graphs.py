"""The graphs of a model: what a plugin declares of them, and what follows for an exporter.

A plugin names the modules and what they return. The inputs follow from its operations: see `resolved_graphs`.
Torch appears in annotations only, so that this module can be imported without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

# Under these names they are part of the face.
from i2i_runtime.kinds.forms import BATCH as BATCH  # noqa: PLC0414
from i2i_runtime.kinds.forms import Axis as Axis  # noqa: PLC0414
from i2i_runtime.kinds.forms import Form as Form  # noqa: PLC0414

if TYPE_CHECKING:
    from torch import nn


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
    """A module with plain tensor inputs that the exporter turns into one .onnx file.

    Its inputs are called as the parameters of the module's `forward`; what operations feed beyond these goes to its
    `*parameter`, in the order in which they feed it. The first axis of every input and output is the batch.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    """names of what `module(*inputs)` returns, a tensor or a tuple of them; none is also the name of an input"""
    tolerance: float = 1e-4
    """largest error of an fp32 graph allowed, relative to torch's largest value; a looser one needs a reason"""
    outliers: OutlierTolerance | None = None
    """values that may be further off; None: none may"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedGraph(Graph):
    """A graph together with what the operations that call it say of it."""

    inputs: Mapping[str, Form]
    """by name, in the order in which the module takes them"""
    images: frozenset[str] = frozenset()
    """the outputs that operations give as images in [-1, 1]: their error is also told in 8-bit steps"""
