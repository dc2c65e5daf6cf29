"""The fp16 form: weights and convolutions in half precision, statistics in fp32, inputs and outputs in fp32."""

from pathlib import Path

import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i_exporter_onnx.bundle import write_graph
from i2i_exporter_onnx.half import to_half
from i2i_exporter_onnx.parity import FP16_TOLERANCE, measure
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

IMAGE = {"x": Form((Axis("batch", 2), 3, Axis("height", 16), Axis("width", 16)), "image")}


class Net(nn.Module):
    """Convolution, norm, padding, convolution, resize: what the fp16 rules have to tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.last = nn.Conv2d(8, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.pad(F.relu(self.norm(self.first(x))), (1, 1, 1, 1), mode="reflect")
        return torch.tanh(F.interpolate(self.last(hidden), scale_factor=2, mode="bilinear"))


def half_graph(module: nn.Module) -> ir.Model:
    model = to_onnx("net", ResolvedGraph(module.eval(), ("y",), inputs=IMAGE))
    to_half(model, "net")
    return model


@pytest.fixture(scope="module")
def model() -> ir.Model:
    torch.manual_seed(0)
    return half_graph(Net())


def dtypes(model: ir.Model, operator: str) -> set[tuple[ir.DataType | None, ir.DataType | None]]:
    nodes = [node for node in model.graph if node.op_type == operator]
    return {(node.inputs[0].dtype, node.outputs[0].dtype) for node in nodes if node.inputs[0] is not None}


def test_convolutions_take_and_give_fp16(model: ir.Model) -> None:
    assert dtypes(model, "Conv") == {(ir.DataType.FLOAT16, ir.DataType.FLOAT16)}


def test_norms_take_and_give_fp32(model: ir.Model) -> None:
    assert dtypes(model, "InstanceNormalization") == {(ir.DataType.FLOAT, ir.DataType.FLOAT)}


def test_values_are_moved_in_fp16_where_only_fp16_is_read(model: ir.Model) -> None:
    assert dtypes(model, "Relu") == dtypes(model, "Pad") == {(ir.DataType.FLOAT16, ir.DataType.FLOAT16)}


def test_weights_of_convolutions_are_stored_in_fp16_only(model: ir.Model) -> None:
    stored = {value.dtype for value in model.graph.initializers.values() if len(value.shape or ()) == 4}

    assert stored == {ir.DataType.FLOAT16}


def test_inputs_and_outputs_stay_fp32_under_their_names(model: ir.Model) -> None:
    ends = [(value.name, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]

    assert ends == [("x", ir.DataType.FLOAT), ("y", ir.DataType.FLOAT)]


def test_a_mean_of_large_squares_does_not_overflow(tmp_path: Path) -> None:
    class Spread(nn.Module):
        """Standard deviation of values around 1000, whose squares fp16 cannot hold."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Conv2d(3, 3, 1)
            with torch.no_grad():
                self.scale.weight.fill_(500)

        def forward(self, x: Tensor) -> Tensor:
            large = self.scale(x)
            return (large * large).mean((2, 3)).sqrt()

    module = Spread()
    file = write_graph(half_graph(module), tmp_path, "net")

    measured = measure(
        "net", ResolvedGraph(module, ("y",), inputs=IMAGE), tmp_path / file.file, FP16_TOLERANCE, threads=1
    )

    assert 0 < measured.relative < FP16_TOLERANCE


def test_activations_that_overflow_fail_the_gate(tmp_path: Path) -> None:
    class Loud(nn.Module):
        """100000 between two convolutions: fine in fp32, infinite in fp16."""

        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
            with torch.no_grad():
                self.up.weight.fill_(50_000)
                self.down.weight.fill_(1e-5)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(self.up(x))

    module = Loud()
    file = write_graph(half_graph(module), tmp_path, "net")

    with pytest.raises(ExportError, match="not finite") as caught:
        measure("net", ResolvedGraph(module, ("y",), inputs=IMAGE), tmp_path / file.file, FP16_TOLERANCE, threads=1)

    assert "fp32" in caught.value.fix


def test_a_weight_beyond_fp16_is_named() -> None:
    module = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        module.weight[0, 0, 0, 0] = 1e6

    with pytest.raises(ExportError, match="weight 'weight' reaches 1e\\+06"):
        half_graph(module)


def test_rounding_is_measured_even_where_the_cpu_leaves_it_out(tmp_path: Path) -> None:
    """Adding and taking away 2048 costs fp16 the last bits of everything below 2, which fp32 keeps."""

    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            with torch.no_grad():
                for part, shift in ((self.up, 2048.0), (self.down, -2048.0)):
                    part.weight.copy_(torch.eye(3)[:, :, None, None])
                    assert part.bias is not None
                    part.bias.fill_(shift)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(self.up(x))

    module = Shift()
    file = write_graph(half_graph(module), tmp_path, "net")

    with pytest.raises(ExportError, match="differs from torch"):
        measure("net", ResolvedGraph(module, ("y",), inputs=IMAGE), tmp_path / file.file, FP16_TOLERANCE, threads=1)
