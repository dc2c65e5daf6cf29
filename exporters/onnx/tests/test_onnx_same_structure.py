"""Graphs that differ in their weights only are traced once, and come out as if each had been traced."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from i2i_exporter_onnx.same_structure import TracedGraph
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

IMAGE = {"x": Form((Axis("batch", 2), 3, Axis("height", 8), Axis("width", 8)), "uniform")}


class Net(nn.Module):
    """Has every place where two networks can differ: parts, weights, buffers, tensors and numbers of their own."""

    shift: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.parts = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1)])
        self.register_buffer("shift", torch.randn(3, 1, 1), persistent=False)
        self.scale = torch.tensor([2.0])
        self.power, self.pads = 1.5, {"circular": [1]}
        self.above = [self]  # nothing of torch's registers it

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return self.scale * torch.tanh(x + self.shift) ** 2 * self.power + sum(self.pads["circular"])


class OtherNet(Net):
    """Computes something else with the same parts."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def graph_of(net: nn.Module) -> ResolvedGraph:
    return ResolvedGraph(net, ("y",), inputs=IMAGE)


def serialized(model: ir.Model) -> bytes:
    return ir.serde.serialize_model(model).SerializeToString()


def test_another_set_of_weights_gives_the_bytes_of_a_trace_of_its_own() -> None:
    traced: list[TracedGraph] = []
    first, second = (graph_of(Net(seed)) for seed in (0, 1))

    together = [serialized(to_onnx("net", graph, traced)) for graph in (first, second)]

    assert len(traced) == 1
    assert together == [serialized(to_onnx("net", graph)) for graph in (first, second)]
    assert together[0] != together[1]


def traced_as(net: nn.Module) -> TracedGraph:
    """What is known of a network after its trace, with an empty program."""
    empty = ir.Model(ir.Graph([], [], nodes=[]), ir_version=10)
    return TracedGraph(graph_of(net), net, torch.onnx.ONNXProgram(empty, None))


def changed(what: str) -> nn.Module:
    """A network that differs in one thing."""
    net = OtherNet(0) if what == "class" else Net(0)
    match what:
        case "number":
            net.power = 1.25
        case "tensor that is no weight":
            net.scale = torch.tensor([3.0])
        case "type of such a tensor":
            net.scale = net.scale.double()
        case "inside of an attribute":
            net.pads = {"circular": [2]}
        case "shared weight":
            net.parts[2] = net.parts[0]
        case "equal parts that share no weight":
            net.parts[2].weight = net.parts[0].weight
        case "part":
            net.parts[0] = nn.Conv2d(3, 3, 5, padding=2)
        case "number of a part":
            net.parts[1] = nn.BatchNorm2d(3, eps=1e-2)
        case "shape of a weight":
            net.parts[0], net.parts[2] = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)
        case "fewer parts":
            net.parts = net.parts[:2]
        case _:
            assert what == "class"
    return net.eval()


@pytest.mark.parametrize(
    "what",
    [
        *("class", "number", "tensor that is no weight", "type of such a tensor", "inside of an attribute", "part"),
        *("shared weight", "equal parts that share no weight", "number of a part", "shape of a weight", "fewer parts"),
    ],
)
def test_a_network_that_differs_in_more_is_traced_by_itself(what: str) -> None:
    net = Net(0).eval()
    traced = traced_as(net)

    assert traced.fits(graph_of(net), Net(1).eval())
    assert not traced.fits(graph_of(net), changed(what))


def test_a_graph_with_other_axes_or_outputs_is_traced_by_itself() -> None:
    net = Net(0).eval()
    traced, graph = traced_as(net), graph_of(net)

    assert not traced.fits(replace(graph, outputs=("z",)), net)
    fixed = Form((Axis("batch", 2), 3, 8, 8), "uniform")
    assert not traced.fits(replace(graph, inputs={"x": fixed}), net)
    assert not traced.fits(replace(graph, inputs={"z": IMAGE["x"]}), net)
