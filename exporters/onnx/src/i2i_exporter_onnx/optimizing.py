"""The optimiser of torch's exporter, which must not take small numbers for nothing.

Its rules drop "+ 0", "- 0", "* 1" and "/ 1", and take every scalar within 1e-8 of 0 and within 1e-5 of 1 for these
(onnxscript 0.7.2, `rewriter.rules.common._no_op` matched with `math.isclose`). The eps of a norm may be that small, and
without it the constant channels of an image of one colour are divided by 0. So numbers near 0 and near 1 are hidden
while it runs: they are inputs of the graph then, which no rule looks at.
"""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass
from onnxscript.optimizer import fold_constants_ir
from torch.onnx import ONNXProgram

from i2i_registry.errors import ExportError

NEUTRAL = (0.0, 1.0)
"""what the rules look for"""
NEAR = 1e-3
"""distance from them below which a number is hidden; far more than the rules allow themselves"""


def optimize(program: ONNXProgram, name: str) -> ir.Model:
    """Return the program's model, optimised in place.

    Raises ExportError when the optimiser removed a number near 0 or 1 that something was computed with.
    """
    for prepare in (InlinePass(), RemoveUnusedNodesPass()):
        prepare(program.model)
    hidden = _hide(program.model.graph)
    program.optimize()
    RemoveUnusedNodesPass()(program.model)  # what is left of a use is one
    _show(program.model.graph, hidden, name)
    fold_constants_ir(program.model)  # what is computed from them alone, a cast mostly
    RemoveUnusedNodesPass()(program.model)
    return program.model


Hidden = dict[ir.Value, ir.TensorProtocol]
"""what stands in for a number -> that number"""


def _hide(graph: ir.Graph) -> Hidden:
    hidden: Hidden = {}
    for value in _constants(graph):
        number = ir.convenience.get_const_tensor(value)
        if number is None or not _is_nearly_neutral(number):
            continue
        stand_in = ir.val(f"{value.name}_hidden", number.dtype, ir.Shape([]))
        ir.convenience.replace_all_uses_with(value, stand_in)
        graph.inputs.append(stand_in)
        hidden[stand_in] = number
    return hidden


def _constants(graph: ir.Graph) -> list[ir.Value]:
    nodes = [node.outputs[0] for node in graph if node.op_type == "Constant"]
    return [value for value in (*graph.initializers.values(), *nodes) if not value.is_graph_output()]


def _is_nearly_neutral(number: ir.TensorProtocol) -> bool:
    if number.size != 1 or number.shape.rank() or not number.dtype.is_floating_point():
        return False
    value = float(number.numpy())
    return any(value != neutral and math.isclose(value, neutral, abs_tol=NEAR) for neutral in NEUTRAL)


def _show(graph: ir.Graph, hidden: Hidden, name: str) -> None:
    lost = [float(number.numpy()) for value, number in hidden.items() if not value.uses()]
    if lost:
        raise ExportError(
            found=f"graph {name!r}: the numbers {', '.join(f'{value:g}' for value in lost)} were lost while the graph "
            "was simplified",
            expected="every number that something is computed with to be in the exported graph",
            fix="write the expression with the number in another form: torch.clamp(x, min=eps) in place of x + eps",
        )
    for value, number in hidden.items():
        graph.inputs.remove(value)
        value.const_value = number
        graph.register_initializer(value)
