"""The fp16 form of an ONNX graph: weights, convolutions and what lies between them in half precision, statistics not.

The rules are those of automatic mixed precision, applied to the graph and thereby to any model, however it is written:

1. Convolutions and matrix products take and give fp16; their weights are stored so.
2. Operators that round at most once more (activations, sums, moved values) give fp16 when all they take is fp16, and
   no constant among it vanishes in fp16.
3. All others, above all means, norms, softmax, division, powers, take and give fp32.
4. An operator that only moves values and whose result is only used as fp16 works on fp16: the rounding commutes.

Inputs and outputs of the graph stay fp32, so that nobody who runs it has to know.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from i2i_registry.errors import ExportError

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
MOVES = frozenset(
    {
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""give some of the values they take, unchanged (Relu: or zero), so they commute with rounding"""
LIGHT = frozenset(
    {
        "Add",
        "Clip",
        "LeakyRelu",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "PRelu",
        "Resize",
        "Sigmoid",
        "Sub",
        "Tanh",
        "Where",
    }
)
"""round once, and neither grow with the number of elements nor divide by something that may vanish"""
SETTINGS = {"Resize": frozenset({1, 2})}
"""operator -> positions of inputs that stay fp32 always: the region and the scales of Resize"""

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


def to_half(model: ir.Model, name: str) -> None:
    """Turn an fp32 graph into mixed fp16, in place.

    Raises ExportError for a graph with branches or loops inside, and when a weight is too large for fp16.
    """
    graph = model.graph
    for node in graph:
        if any(attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for attribute in _attributes(node)):
            raise ExportError(
                found=f"graph {name!r} has control flow ({node.op_type})",
                expected="a graph without branches and loops for fp16",
                fix="--precision fp32",
            )
    chosen = _choose(graph)
    for node in chosen:
        for value in node.outputs:
            if value.dtype == FLOAT:
                value.dtype = HALF
    casts = _Casts(graph, name)
    for node in list(graph):
        for position, value in _floats(node):
            wanted = HALF if node in chosen and _is_data(node, position) else FLOAT
            if value.dtype != wanted:
                node.replace_input_with(position, casts.of(value, wanted))
    for position, value in enumerate(list(graph.outputs)):
        if value.dtype == HALF:
            graph.outputs[position] = casts.output(value)
    for unused in [
        key for key, value in graph.initializers.items() if not value.uses() and not value.is_graph_output()
    ]:
        del graph.initializers[unused]


def with_rounding(model: ir.Model) -> ir.Model:
    """Return the same graph in a form in which every fp16 value really is rounded to fp16 on a CPU, for measuring.

    onnxruntime has few fp16 kernels for CPUs: it computes in fp32 and leaves out the rounding between neighbours, so
    that neither the error nor the overflow of a GPU is seen. It does not look through a sequence of one value.
    """
    graph = model.graph
    first = ir.val("first_of_sequence", ir.DataType.INT64, ir.Shape([]), const_value=ir.tensor(0, ir.DataType.INT64))
    graph.register_initializer(first)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype != HALF:
                continue
            sequence = ir.node("SequenceConstruct", [value])
            rounded = ir.node("SequenceAt", [sequence.outputs[0], first])
            rounded.outputs[0].dtype, rounded.outputs[0].shape = HALF, value.shape
            uses = list(value.uses())
            graph.insert_after(node, [sequence, rounded])
            for use in uses:
                if use.node is not sequence:
                    use.node.replace_input_with(use.idx, rounded.outputs[0])
    return model


def _choose(graph: ir.Graph) -> set[ir.Node]:
    """Return the nodes that work in fp16: rules 1 and 2 in the order of the graph, then rule 4 against it."""
    chosen: set[ir.Node] = set()
    for node in graph:
        if node.domain in {"", "ai.onnx"} and (node.op_type in PRODUCTS or _stays_half(node, chosen)):
            chosen.add(node)
    for node in reversed(list(graph)):
        if node not in chosen and node.op_type in MOVES and _only_half_uses(node, chosen):
            chosen.add(node)
    return chosen


def _stays_half(node: ir.Node, chosen: set[ir.Node]) -> bool:
    if node.op_type not in MOVES | LIGHT:
        return False
    computed = [value for position, value in _floats(node) if _is_data(node, position) and not _is_constant(value)]
    if node.op_type == "Mul" and len(computed) > 1:
        return False  # a product of two activations is how squares overflow
    if any(_vanishes(value) for _, value in _floats(node)):
        return False
    return bool(computed) and all(value.producer() in chosen for value in computed)


def _vanishes(value: ir.Value) -> bool:
    """Whether this is a constant, such as the eps of a norm, of which fp16 leaves nothing."""
    if value.const_value is None:
        return False
    numbers = value.const_value.numpy()
    return bool(numbers.all()) and not numbers.astype(np.float16).any()


def _only_half_uses(node: ir.Node, chosen: set[ir.Node]) -> bool:
    uses = [use for value in node.outputs for use in value.uses()]
    if not uses or any(value.is_graph_output() for value in node.outputs):
        return False
    return all(use.node in chosen and _is_data(use.node, use.idx) for use in uses)


def _floats(node: ir.Node) -> Iterator[tuple[int, ir.Value]]:
    for position, value in enumerate(node.inputs):
        if value is not None and value.dtype in {FLOAT, HALF}:
            yield position, value


def _is_data(node: ir.Node, position: int) -> bool:
    return position not in SETTINGS.get(node.op_type, frozenset())


def _is_constant(value: ir.Value) -> bool:
    return value.is_initializer() or value.const_value is not None


def _attributes(node: ir.Node) -> Iterator[ir.Attr]:
    yield from node.attributes.values()


class _Casts:
    """Values in the other precision, each made once: weights are stored again, computed values get a Cast node."""

    def __init__(self, graph: ir.Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self.made: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def of(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Return this value in `dtype`."""
        if (value, dtype) not in self.made:
            stored = value.is_initializer() and dtype == HALF
            self.made[value, dtype] = self._weight(value) if stored else self._cast(value, dtype)
        return self.made[value, dtype]

    def output(self, value: ir.Value) -> ir.Value:
        """Return this graph output in fp32, under its own name."""
        name = value.name
        value.name = f"{name}_fp16"
        result = self._cast(value, FLOAT)
        result.name = name
        return result

    def _weight(self, value: ir.Value) -> ir.Value:
        if value.const_value is None:
            raise ExportError(f"graph {self.name!r}: the weight {value.name!r} has no values", fix="--precision fp32")
        full = value.const_value.numpy()
        limit = np.finfo(np.float16).max
        if full.size and not np.abs(full).max() <= limit:
            raise ExportError(
                found=f"graph {self.name!r}: the weight {value.name!r} reaches {np.abs(full).max():.3g}",
                expected=f"at most {limit:g}, the largest number fp16 has",
                fix="--precision fp32",
            )
        tensor = ir.tensor(full.astype(np.float16), name=f"{value.name}_fp16")
        half = ir.val(f"{value.name}_fp16", HALF, value.shape, const_value=tensor)
        self.graph.register_initializer(half)
        return half

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        node = ir.node("Cast", [value], {"to": dtype.value})
        result = node.outputs[0]
        result.name = f"{value.name}_{dtype.name.lower()}"
        result.dtype = dtype
        result.shape = value.shape
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
        return result
