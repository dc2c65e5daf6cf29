"""The public face: one card, and nothing heavy until the exporter is touched."""

import subprocess
import sys

import pytest
from torch import nn

import i2i_exporter_onnx
from i2i_exporter_onnx.exporter import OnnxExporter
from i2i_exporter_onnx.sizes import plan
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph
from i2i_registry.plugins.discovery import build_registry
from i2i_runtime.errors import UsageError
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.schema.operations import GraphCall, Operation, VectorOutput


def test_the_card_leads_to_the_exporter() -> None:
    registry = build_registry([("i2i-exporter-onnx", i2i_exporter_onnx)])

    assert type(registry.exporter("onnx")) is OnnxExporter


def test_discovery_loads_neither_torch_nor_onnx() -> None:
    code = (
        "import sys, i2i_exporter_onnx; i2i_exporter_onnx.i2i_exporters();"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'numpy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


def test_all_names_are_there() -> None:
    assert all(hasattr(i2i_exporter_onnx, name) for name in i2i_exporter_onnx.__all__)
    with pytest.raises(AttributeError, match="no attribute 'OnnxImporter'"):
        _ = i2i_exporter_onnx.OnnxImporter  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


@pytest.mark.parametrize("size", [64, "dynamic"])
def test_a_size_for_a_model_without_images_is_wrong_usage(size: int | str) -> None:
    sample = Operation(
        name="sample",
        inputs=(LatentInput(name="z", shape=(4,)),),
        outputs=(VectorOutput(name="code"),),
        steps=(GraphCall(graph="mapping", inputs={"z": "z"}, outputs={"code": "code"}),),
    )

    mapping = ResolvedGraph(nn.Identity(), ("code",), inputs={"z": Form((Axis("batch", 2), 4), "normal")})
    with pytest.raises(UsageError, match="no operation takes an image"):
        plan({"mapping": mapping}, (sample,), 64 if isinstance(size, int) else "dynamic")
