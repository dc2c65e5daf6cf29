"""An exporter of one fixed bundle: it turns images into their negatives, or leaves them, and knows what is bright."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import onnx
from onnx import TensorProto, helper

from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.exporter import Exporter, ExportOptions, ExportReport
from i2i_registry.interfaces.model import Model
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.files.atomic import atomic_folder, write_text
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.records import Record
from i2i_runtime.schema.graphs import GraphFile, TensorSpec
from i2i_runtime.schema.manifest import Manifest, WeightsSource
from i2i_runtime.schema.operations import GraphCall, HeatmapOutput, ImageOutput, Operation
from i2i_runtime.schema.parity import Parity, ParityCase

SIDE = 8
PARITY = Parity(
    tolerance=1e-4,
    relative=1e-6,
    levels=0.01,
    reference="a closed form",
    cases=(ParityCase(graph="negative", output="image", batch=1, inputs="none", max_abs=0, relative=0),),
    versions={},
)


class ToyExporter(Exporter):
    name: ClassVar[str] = "onnx"

    def export(
        self,
        model: Model[Record],
        weights: WeightsCard,
        destination: Path,
        options: ExportOptions,
        tell: Callable[[str], None],
    ) -> ExportReport:
        tell(f"exporting {weights.reference} of {model.name} in {options.precision}")
        with atomic_folder(destination) as folder:
            write_bundle(folder, weights.reference, weights.sha256)
        return ExportReport(destination, PARITY)

    def verify(self, artefact: Path, model: Model[Record], tell: Callable[[str], None]) -> Parity:
        tell(f"measuring {artefact} against {model.name}")
        return PARITY


def write_bundle(folder: Path, name: str = "toy", sha256: str = "0" * 64) -> None:
    graphs = {"negative": _graph(folder, "negative", -1.0), "same": _graph(folder, "same", 1.0)}
    steps = tuple(
        GraphCall(
            graph=graph,
            inputs={"image": "image", "strength": "strength"},
            outputs={"image_out": "image", "bright": "bright"},
            when={"style": graph},
        )
        for graph in graphs
    )
    operation = Operation(
        name="translate",
        inputs=(
            ImageInput(name="image", size=SizeRule(height=SIDE, width=SIDE)),
            LabelInput(name="style", names=("negative", "same"), default="negative"),
            ScalarInput(name="strength", default=1, minimum=0, maximum=1),
        ),
        outputs=(ImageOutput(name="image"), HeatmapOutput(name="bright")),
        steps=steps,
    )
    manifest = Manifest(
        name=name,
        model="toy",
        paper=Paper(title="A toy", authors="Nobody", year=2024),
        model_licence=Licence(spdx="CC0-1.0"),
        weights=WeightsSource(name=name, sha256=sha256, licence=Licence(spdx="CC0-1.0"), provenance="drawn"),
        config={"width": 3, "domains": ["photo", "drawing"]},
        precision="fp32",
        opset=20,
        operations=(operation,),
        graphs=graphs,
        parity=PARITY,
        made_by={},
    )
    write_text(folder / "manifest.json", manifest.model_dump_json())


def _graph(folder: Path, name: str, sign: float) -> GraphFile:
    """image * sign * strength, and the mean of |image| over its channels."""
    shape = ["batch", 3, SIDE, SIDE]
    ins = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("strength", TensorProto.FLOAT, ["batch"]),
    ]
    outs = [
        helper.make_tensor_value_info("image_out", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("bright", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE]),
    ]
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 1, 1, 1]),
        helper.make_node("Constant", [], ["sign"], value_float=sign),
        helper.make_node("Reshape", ["strength", "shape"], ["factor"]),
        helper.make_node("Mul", ["image", "factor"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "sign"], ["image_out"]),
        helper.make_node("Abs", ["image"], ["size"]),
        helper.make_node("Constant", [], ["axes"], value_ints=[1]),
        helper.make_node("ReduceMean", ["size", "axes"], ["bright"], keepdims=1),
    ]
    graph = helper.make_graph(nodes, name, ins, outs)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(data))
    (folder / f"{name}.onnx").write_bytes(data)
    image = TensorSpec(name="image", dtype="float32", shape=("batch", 3, SIDE, SIDE))
    return GraphFile(
        file=f"{name}.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        inputs=(image, TensorSpec(name="strength", dtype="float32", shape=("batch",))),
        outputs=(
            image.model_copy(update={"name": "image_out"}),
            TensorSpec(name="bright", dtype="float32", shape=("batch", 1, SIDE, SIDE)),
        ),
    )
