"""A bundle with looks: the image is mixed with a style, which comes from a latent or from a reference."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper
from toy_exporter import PARITY

from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.files.atomic import write_text
from i2i_runtime.image.resizing import Fit, SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.schema.graphs import GraphFile, TensorSpec
from i2i_runtime.schema.manifest import Manifest, WeightsSource
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, VectorOutput

SIDE = 8
IMAGE: tuple[int | str, ...] = ("batch", 3, SIDE, SIDE)
STYLE: tuple[int | str, ...] = ("batch", 3)
Shapes = Mapping[str, tuple[int | str, ...]]


def write_styled_bundle(folder: Path, fit: Fit = "resize") -> Path:
    """`translate(image, latent)` and `translate_like(image, reference, domain)`; images of 8 x 8.

    A reference's style is the mean of each channel, and its negative in the domain "minus".
    """
    folder.mkdir()
    mean = helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0)
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[2, 3])
    copy, negate = helper.make_node("Identity", ["mean"], ["style"]), helper.make_node("Neg", ["mean"], ["style"])
    mix = [
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 3, 1, 1]),
        helper.make_node("Reshape", ["style", "shape"], ["colour"]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Add", ["image", "colour"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["mixed"]),
    ]
    graphs = {
        "plus": graph_file(folder, "plus", [axes, mean, copy], {"image": IMAGE}, {"style": STYLE}),
        "minus": graph_file(folder, "minus", [axes, mean, negate], {"image": IMAGE}, {"style": STYLE}),
        "mix": graph_file(folder, "mix", mix, {"image": IMAGE, "style": STYLE}, {"mixed": IMAGE}),
    }
    return write_manifest(folder, "styled", _operations(fit), graphs)


def write_manifest(folder: Path, name: str, operations: Sequence[Operation], graphs: Mapping[str, GraphFile]) -> Path:
    """A manifest of these operations beside their graphs, which makes the folder a bundle."""
    manifest = Manifest(
        name=name,
        model="toy",
        paper=Paper(title="A toy", authors="Nobody", year=2024),
        model_licence=Licence(spdx="CC0-1.0"),
        weights=WeightsSource(name=name, sha256="0" * 64, licence=Licence(spdx="CC0-1.0"), provenance="drawn"),
        config={},
        precision="fp32",
        opset=20,
        operations=tuple(operations),
        graphs=dict(graphs),
        parity=PARITY,
        made_by={},
    )
    write_text(folder / "manifest.json", manifest.model_dump_json())
    return folder


def _operations(fit: Fit) -> tuple[Operation, ...]:
    size = SizeRule(height=SIDE, width=SIDE)
    image, reference = ImageInput(name="image", size=size, fit=fit), ImageInput(name="reference", size=size)
    reads = (
        GraphCall(graph=domain, inputs={"image": "reference"}, outputs={"style": "style"}, when={"domain": domain})
        for domain in ("plus", "minus")
    )
    by_latent = Operation(
        name="translate",
        inputs=(image, LatentInput(name="latent", shape=(3,))),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="mix", inputs={"image": "image", "style": "latent"}, outputs={"mixed": "image"}),),
    )
    by_image = Operation(
        name="translate_like",
        inputs=(image, reference, LabelInput(name="domain", names=("plus", "minus"), default="plus")),
        outputs=(ImageOutput(name="image"), VectorOutput(name="style")),
        steps=(*reads, GraphCall(graph="mix", inputs={"image": "image", "style": "style"}, outputs={"mixed": "image"})),
    )
    return by_latent, by_image


def graph_file(folder: Path, name: str, nodes: Sequence[NodeProto], inputs: Shapes, outputs: Shapes) -> GraphFile:
    """Write an .onnx of float32 tensors into the bundle's folder, and describe it."""
    ins, outs = (
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape) for value, shape in shapes.items()]
        for shapes in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, name, ins, outs)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(data))
    (folder / f"{name}.onnx").write_bytes(data)
    specs = [
        tuple(TensorSpec(name=value, dtype="float32", shape=shape) for value, shape in shapes.items())
        for shapes in (inputs, outputs)
    ]
    sha256 = hashlib.sha256(data).hexdigest()
    return GraphFile(file=f"{name}.onnx", sha256=sha256, size=len(data), inputs=specs[0], outputs=specs[1])
