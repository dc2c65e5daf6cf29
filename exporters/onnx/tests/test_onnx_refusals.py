"""Constructs that export wrongly are refused by name, each shown by the smallest module that has it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

FREE = {"x": Form((Axis("batch", 2), 3, Axis("height", 16, 4, 4), Axis("width", 16, 4, 4)), "image")}


class Calls(nn.Module):
    """A module whose forward is the given function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def graph_of(function: Callable[[Tensor], Tensor]) -> ResolvedGraph:
    return ResolvedGraph(Calls(function), ("y",), inputs=FREE)


def batch_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)


def linspace(x: Tensor) -> Tensor:
    return x * torch.linspace(0, 1, x.shape[3])


def value_as_size(x: Tensor) -> Tensor:
    return x[:, :, : int(x.sum().item())]


def inverse(x: Tensor) -> Tensor:
    return torch.linalg.inv(x[:, :, :3, :3])


def solve(x: Tensor) -> Tensor:
    return torch.linalg.solve(x[:, :, :3, :3], x[:, :, :3, :1])


REFUSED: list[tuple[Callable[[Tensor], Tensor], str, str]] = [
    (batch_norm, "batch norm with the statistics of the batch", "instance_norm"),
    (lambda x: F.dropout(x, 0.5, training=True), "dropout that stays on", "nn.Dropout"),
    (lambda x: x + torch.randn_like(x), "random numbers (randn_like)", "input of the graph"),
    (lambda x: x * torch.rand(1), "random numbers (rand)", "input of the graph"),
    (lambda x: x * torch.bernoulli(x.sigmoid()), "random numbers (bernoulli)", "input of the graph"),
    (lambda x: x + torch.normal(x, 1.0), "random numbers (normal", "input of the graph"),
    (lambda x: F.adaptive_avg_pool2d(x, 4), "adaptive pooling to [4, 4]", "pool to 1"),
    (lambda x: F.adaptive_max_pool2d(x, (1, 4)), "adaptive pooling to [1, 4]", "pool to 1"),
    (linspace, "linspace with a length that is free", "arange"),
    (inverse, "linalg_inv", "outside"),
    (solve, "solve", "outside"),
    (value_as_size, "values of a tensor", "shapes of inputs"),
]


@pytest.mark.parametrize(("function", "named", "instead"), REFUSED, ids=[case[1] for case in REFUSED])
def test_a_construct_that_exports_wrongly_is_named_and_replaced(
    function: Callable[[Tensor], Tensor], named: str, instead: str
) -> None:
    with pytest.raises(ExportError) as caught:
        to_onnx("net", graph_of(function))

    assert named in caught.value.found
    assert instead in caught.value.fix


def test_the_place_in_the_source_is_told() -> None:
    with pytest.raises(ExportError, match=r"test_onnx_refusals\.py"):
        to_onnx("net", graph_of(batch_norm))


def test_the_same_constructs_pass_where_they_export_right() -> None:
    def harmless(x: Tensor) -> Tensor:
        frozen = F.batch_norm(F.dropout(x, 0.5, training=False), torch.zeros(3), torch.ones(3))
        return frozen + F.adaptive_avg_pool2d(x, 1) + torch.linspace(0, 1, 3)[:, None, None]

    assert len(to_onnx("net", graph_of(harmless)).graph.outputs) == 1


def test_pooling_to_four_passes_when_the_sides_are_fixed() -> None:
    graph = ResolvedGraph(
        Calls(lambda x: F.adaptive_avg_pool2d(x, 4)),
        ("y",),
        inputs={
            "x": Form((Axis("batch", 2), 3, 16, 16), "image"),
        },
    )

    assert to_onnx("net", graph).graph.outputs[0].shape == ["batch", 3, 4, 4]


def test_an_axis_frozen_while_tracing_is_named() -> None:
    with pytest.raises(ExportError) as caught:
        to_onnx("net", graph_of(lambda x: x.reshape(2, -1)))

    assert "free" in caught.value.found
    assert "batch" in caught.value.found


def test_an_output_may_not_have_the_name_of_an_input() -> None:
    with pytest.raises(ExportError, match="more than one tensor named x"):
        to_onnx("net", ResolvedGraph(Calls(torch.relu), ("x",), inputs=FREE))


def test_outputs_without_a_name_are_an_error() -> None:
    with pytest.raises(ExportError, match="returns 1 tensors"):
        to_onnx("net", ResolvedGraph(Calls(torch.relu), ("y", "z"), inputs=FREE))


class Coded(nn.Module):
    """A part as encoders call theirs, and as torch calls the source of a program."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.encoder = nn.Sequential()
        self.encoder.add_module(name, nn.Conv2d(3, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


@pytest.mark.parametrize("part", ["code", "graph"])
def test_a_part_whose_name_the_traced_program_hides_is_refused(part: str) -> None:
    with pytest.raises(ExportError, match=f"has a part 'encoder.{part}'.*for itself") as caught:
        to_onnx("paint", ResolvedGraph(Coded(part), ("y",), inputs=FREE))
    assert "code, " in caught.value.expected
    assert to_onnx("paint", ResolvedGraph(Coded("codes"), ("y",), inputs=FREE)).graph.outputs[0].name == "y"
