"""From a torch module to an ONNX model in memory: traced with torch.export, checked, its axes named."""

from __future__ import annotations

import inspect
import logging
import math
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import onnx_ir as ir
import sympy
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule
from torch.onnx import ONNXProgram

from i2i_exporter_onnx.cases import example_case, values
from i2i_exporter_onnx.optimizing import optimize
from i2i_exporter_onnx.refusals import DATA_DEPENDENT, FreeLengths, refuse
from i2i_exporter_onnx.rewrites import folded
from i2i_exporter_onnx.same_structure import TracedGraph
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, ResolvedGraph

OPSET = 20
"""The newest one that every provider we measured runs, and the first with GridSample and antialiased Resize as we need
them; the exporter raises anything below 18 by itself."""

TRACER_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError)
"""What torch.export and the translation to ONNX raise: their own errors derive from RuntimeError, and the model's own
code runs inside them."""

LOG = logging.getLogger(__name__)


def to_onnx(name: str, graph: ResolvedGraph, traced: list[TracedGraph] | None = None) -> ir.Model:
    """Return the graph in fp32 at opset 20, with free axes under the names the model gives them.

    `traced`: the graphs of the same model before this one, to which it is added. When one of them differs in its
    weights only, its trace is taken.

    Raises ExportError when the module cannot be traced, uses a construct that exports wrongly, or when an axis that
    is declared free came out fixed.
    """
    _check_names(name, graph)
    _check_parts(name, graph.module)
    example = tuple(torch.from_numpy(array) for array in values(graph, example_case(graph)).values())
    module = folded(graph.module, example, name)
    before = [] if traced is None else traced
    with _quiet():
        same = next((each for each in before if each.fits(graph, module)), None)
        if same is None:
            program = _trace(name, graph, module, example)
            refuse(program, name)
            same = TracedGraph(graph, module, _translate(name, graph, program))
            before.append(same)
        model = optimize(same.with_weights_of(module), name)
    _check_axes(name, graph, model)
    _name_axes(graph, model.graph)
    # Every node carries the author's source lines and paths, which are nobody's business and would change the hashes.
    ClearMetadataAndDocStringPass()(model)
    return model


def _check_names(name: str, graph: ResolvedGraph) -> None:
    """Raise ExportError when two tensors share a name, which ONNX does not allow even between inputs and outputs."""
    names = [*graph.inputs, *graph.outputs]
    repeated = sorted({each for each in names if names.count(each) > 1})
    if repeated:
        raise ExportError(
            found=f"graph {name!r} has more than one tensor named {', '.join(repeated)}",
            expected="names that differ among all inputs and outputs of a graph, as ONNX demands",
            fix="rename the output in Graph.outputs; GraphCall.outputs gives it any name in the operation",
        )


_TAKEN = frozenset(dir(GraphModule)) - frozenset(dir(nn.Module))
"""Attributes of the program that torch makes of a module. A part of these names is hidden behind them, and the program
then lacks its weights."""


def _check_parts(name: str, module: nn.Module) -> None:
    """Raise ExportError for a network, parameter or buffer whose name torch's traced program has for itself."""
    paths = [path for path, _ in (*module.named_modules(), *module.named_parameters(), *module.named_buffers())]
    for path in paths:
        taken = _TAKEN.intersection(path.split("."))
        if taken:
            raise ExportError(
                found=f"graph {name!r} has a part {path!r}, and torch.export keeps the name {min(taken)!r} for itself",
                expected=f"other names than {', '.join(sorted(each for each in _TAKEN if not each.startswith('_')))}",
                fix="give it another name in the module; official names can stay in the table of official.py",
            )


def _trace(name: str, graph: ResolvedGraph, module: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    try:
        with torch.no_grad(), FreeLengths(name):
            return torch.export.export(module, example, dynamic_shapes=_dynamic_shapes(graph), strict=False)
    except TRACER_ERRORS as error:
        raise _untraceable(name, error) from error


def _translate(name: str, graph: ResolvedGraph, program: ExportedProgram) -> ONNXProgram:
    try:
        result = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
        )
    except TRACER_ERRORS as error:
        raise ExportError(
            found=f"graph {name!r} cannot be written as ONNX: {_reason(error)}",
            expected="operators that opset 20 has",
            fix="write the operator named above with others, or move it out of the graph",
        ) from error
    if result is None:
        raise ExportError(f"torch gave no ONNX program for graph {name!r}", fix="update torch")
    if len(result.model.graph.outputs) != len(graph.outputs):
        raise ExportError(
            found=f"graph {name!r} returns {len(result.model.graph.outputs)} tensors",
            expected=f"one for each of {list(graph.outputs)}",
            fix="name every output of the module in Graph.outputs, in order",
        )
    return result


Shapes = tuple[object, ...]
"""for every input of a module: position of a free axis -> its dimension"""


def _dynamic_shapes(graph: ResolvedGraph) -> Shapes:
    """As torch wants them: inputs that a module takes as *maps are one tuple. Axes of one name share one dimension."""
    kinds = [parameter.kind for parameter in inspect.signature(graph.module.forward).parameters.values()]
    shapes = _shapes_in_order(graph)
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return shapes
    alone = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:alone], shapes[alone:])


def _shapes_in_order(graph: ResolvedGraph) -> Shapes:
    forms = graph.inputs.values()
    free = {axis.name: axis for form in forms for axis in form.axes if isinstance(axis, Axis)}
    dimensions = {name: _dimension(axis) for name, axis in free.items()}
    return tuple(
        {position: dimensions[axis.name] for position, axis in enumerate(form.axes) if isinstance(axis, Axis)}
        for form in forms
    )


def _dimension(axis: Axis) -> object:
    """Declare a length that is a multiple as multiple times a free count, which is all that torch can express."""
    if axis.multiple == 1:
        return Dim(axis.name, min=axis.minimum)
    return axis.multiple * Dim(f"{axis.name}_count", min=math.ceil(axis.minimum / axis.multiple))


def _check_axes(name: str, graph: ResolvedGraph, model: ir.Model) -> None:
    """Raise ExportError when an axis declared free is a number in the ONNX graph."""
    for (tensor, form), value in zip(graph.inputs.items(), model.graph.inputs, strict=True):
        frozen = [
            f"{axis.name} = {length}"
            for axis, length in zip(form.axes, _dims(value), strict=True)
            if isinstance(axis, Axis) and isinstance(length, int)
        ]
        if frozen:
            raise ExportError(
                found=f"graph {name!r}: the input {tensor!r}, declared free, was frozen at {', '.join(frozen)}",
                expected="every axis declared free to stay free",
                fix="take sizes from x.shape in forward, or let the input have one size only (operations())",
            )


def _name_axes(graph: ResolvedGraph, onnx_graph: ir.Graph) -> None:
    """Call free input axes what the model calls them, and express the outputs' axes in these names."""
    substitutions: list[tuple[sympy.Basic, sympy.Expr]] = []
    for form, value in zip(graph.inputs.values(), onnx_graph.inputs, strict=True):
        for axis, length in zip(form.axes, _dims(value), strict=True):
            if isinstance(axis, Axis) and isinstance(length, str):
                substitutions.append(_solved(length, axis))
        value.shape = ir.Shape([axis.name if isinstance(axis, Axis) else axis for axis in form.axes])
    for value in onnx_graph.outputs:
        value.shape = ir.Shape(
            [
                length if isinstance(length, int) else str(_expression(length).subs(substitutions))
                for length in _dims(value)
            ]
        )


def _solved(length: str, axis: Axis) -> tuple[sympy.Basic, sympy.Expr]:
    """Return the length "4*s71" for an axis named height means s71 = height/4."""
    (symbol,) = _expression(length).free_symbols
    return symbol, sympy.Symbol(axis.name, integer=True, positive=True) / axis.multiple


def _expression(length: str) -> sympy.Basic:
    """Return what torch wrote as the length of an axis, as arithmetic on its symbols."""
    return sympy.sympify(length)


def _dims(value: ir.Value) -> tuple[int | str, ...]:
    return tuple(length if isinstance(length, int) else str(length.value) for length in value.shape or ())


def _untraceable(name: str, error: Exception) -> ExportError:
    reason = _reason(error)
    if "data-dependent" in str(error).lower():
        return ExportError(
            found=f"graph {name!r} decides or sizes something by the values of a tensor: {reason}",
            expected="control flow and shapes that do not depend on tensor values",
            fix=DATA_DEPENDENT,
        )
    if "constraints violated" in str(error).lower():
        return ExportError(
            found=f"graph {name!r} does not keep its free axes free: {reason}",
            expected="every axis declared free to stay free, at every length its multiple and minimum allow",
            fix="take sizes from x.shape in forward, or give the size in operations() a multiple or a larger minimum",
        )
    return ExportError(
        found=f"graph {name!r} cannot be traced: {reason}",
        expected="a module that torch.export can trace",
        fix="see the reason above; --debug shows torch's whole trace",
    )


def _reason(error: Exception) -> str:
    """Return the lines of a tracer's message that say something, as one."""
    advice = ("For ", "If you suspect", "The error above", "Caused by", "Suggested fixes")
    lines = [line.strip().partition(" For more information")[0] for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(advice)]
    return " ".join(told[:4])[:600] or type(error).__name__


@contextmanager
def _quiet() -> Generator[None]:
    """Keep torch's warnings from the user: the parity gate decides, not they. They are logged for debugging."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logging.disable(max(before, logging.WARNING))
        try:
            yield
        finally:
            logging.disable(before)
            for warning in caught:
                LOG.debug("while exporting: %s", warning.message)
