"""What is simplified in an exported graph keeps every number that something is computed with."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx import ONNXProgram

from i2i_exporter_onnx.half import to_half
from i2i_exporter_onnx.optimizing import optimize
from i2i_exporter_onnx.parity import measure
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

BATCH, SIDES = Axis("batch", 2), (Axis("height", 8), Axis("width", 8))


EPS = (1e-5, 1e-8, 1e-12, 1e-20)


class Divided(nn.Module):
    """An image without its channels' means, over what an image of one colour makes vanish but for an eps."""

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / torch.sqrt(centred.square().mean((2, 3), keepdim=True) + self.eps)


class DividedInManyWays(nn.Module):
    """The same with a few values of the eps, written in the ways that people write it."""

    def __init__(self) -> None:
        super().__init__()
        for index, eps in enumerate(EPS):
            self.register_buffer(f"eps_{index}", torch.tensor(eps))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        centred = x - x.mean((2, 3), keepdim=True)
        variance = centred.square().mean((2, 3), keepdim=True)
        divisors = [
            divisor
            for index, eps in enumerate(EPS)
            for divisor in (
                torch.sqrt(variance + eps),
                torch.sqrt(eps + variance),
                torch.sqrt(variance - (-eps)),
                torch.sqrt(variance) + eps,
                torch.sqrt(variance + self.get_buffer(f"eps_{index}")),
                torch.rsqrt(variance + eps).reciprocal(),
            )
        ]
        return tuple(centred / divisor for divisor in divisors)


WAYS = 6


def graph_of(module: nn.Module, outputs: tuple[str, ...] = ("y",)) -> ResolvedGraph:
    return ResolvedGraph(module, outputs, inputs={"x": Form((BATCH, 3, *SIDES), "image")})


def test_small_numbers_survive_and_one_colour_becomes_nothing(tmp_path: Path) -> None:
    names = tuple(f"y{index}" for index in range(WAYS * len(EPS)))
    model = to_onnx("net", graph_of(DividedInManyWays(), names))
    ir.save(model, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")

    results = session.run(None, {"x": np.full((1, 3, 8, 8), 0.5, np.float32)})

    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [name for name, result in zip(names, results, strict=True) if np.asarray(result).any()] == []


def test_a_factor_of_nearly_one_stays_a_factor(tmp_path: Path) -> None:
    class Grown(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1.000005 * x - x

    ir.save(to_onnx("net", graph_of(Grown())), tmp_path / "net.onnx")
    (result,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})

    assert np.asarray(result).max() == pytest.approx(5e-6, rel=0.1)


def test_what_really_does_nothing_is_still_left_out() -> None:
    class Idle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh((x + 0.0) * 1.0)

    assert [node.op_type for node in to_onnx("net", graph_of(Idle())).graph] == ["Tanh"]


def test_a_number_that_is_lost_anyway_is_refused() -> None:
    class Program:
        """Its optimiser leaves out every sum, as one with a rule that nobody here knows might."""

        def __init__(self, model: ir.Model) -> None:
            self.model = model

        def optimize(self) -> None:
            for node in self.model.graph:
                if node.op_type == "Add":
                    value = node.inputs[0]
                    assert value is not None
                    ir.convenience.replace_all_uses_with(node.outputs[0], value)

    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 20]>
        net (float[2] x) => (float[2] z) {
            eps = Constant <value_float: float = 1e-6> ()
            y = Add (x, eps)
            z = Sqrt (y)
        }"""
    )
    with pytest.raises(ExportError, match="the numbers 1e-06 were lost"):
        optimize(cast("ONNXProgram", Program(model)), "net")


def test_the_gate_sees_a_small_number_that_is_gone(tmp_path: Path) -> None:
    ir.save(to_onnx("net", graph_of(Divided(0.0))), tmp_path / "net.onnx")

    with pytest.raises(ExportError, match="not finite"):
        measure("net", graph_of(Divided(1e-9)), tmp_path / "net.onnx", 1e-4, 1)


def test_a_number_that_half_precision_does_not_have_stays_in_single(tmp_path: Path) -> None:
    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x)) + 1e-8

    model = to_onnx("net", graph_of(Scored()))
    to_half(model, "net")
    ir.save(model, tmp_path / "net.onnx")
    (result,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"x": np.zeros((1, 3, 8, 8), np.float32)})

    assert np.asarray(result).min() == pytest.approx(1e-8)
