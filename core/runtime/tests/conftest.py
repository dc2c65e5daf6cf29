"""Tiny real bundles, built with onnx.helper, for the tests of the runtime."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.image.faces import Landmarks
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.schema.graphs import GraphFile, TensorSpec
from i2i_runtime.schema.manifest import GRAPH_KEY, MANIFEST_FILE, MANIFEST_KEY, Manifest, WeightsSource
from i2i_runtime.schema.operations import GraphCall, HeatmapOutput, ImageOutput, Interpolation, Operation, VectorOutput
from i2i_runtime.schema.parity import Parity, ParityCase

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
IMAGE = ("n", 3, "h", "w")

Shape = Sequence[int | str]
DTYPES: Mapping[int, Literal["float32", "int64"]] = {FLOAT: "float32", INT64: "int64"}
BAD = Path(__file__).parent / "data" / "bad"


@dataclass(frozen=True)
class TinyGraph:
    """An ONNX graph as lists of nodes; every test says what it computes."""

    nodes: Sequence[onnx.NodeProto]
    inputs: Mapping[str, tuple[int, Shape]]
    outputs: Mapping[str, Shape]
    constants: Mapping[str, NDArray[np.generic]] = field(default_factory=dict[str, NDArray[np.generic]])

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            list(self.nodes),
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in self.inputs.items()],
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in self.outputs.items()],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    def record(self, file: str, data: bytes) -> GraphFile:
        return GraphFile(
            file=file,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            inputs=tuple(TensorSpec(name=n, dtype=DTYPES[k], shape=tuple(s)) for n, (k, s) in self.inputs.items()),
            outputs=tuple(TensorSpec(name=n, dtype="float32", shape=tuple(s)) for n, s in self.outputs.items()),
        )


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def translator(sign: float) -> TinyGraph:
    """image -> sign * image, and its brightness per 4x4 block as a heat map."""
    return TinyGraph(
        nodes=[
            node("Mul", "image sign", "result"),
            node("ReduceMean", "image channels", "grey", keepdims=1),
            node("AveragePool", "grey", "attention", kernel_shape=[4, 4], strides=[4, 4]),
        ],
        inputs={"image": (FLOAT, IMAGE)},
        outputs={"result": IMAGE, "attention": ("n", 1, "h4", "w4")},
        constants={"sign": np.array([sign], dtype=np.float32), "channels": np.array([1], dtype=np.int64)},
    )


def mapping() -> TinyGraph:
    """latent [n, 3], label [n] -> style [n, 3]: the latent, plus ten times the label."""
    return TinyGraph(
        nodes=[
            node("Gather", "table domain", "row"),
            node("Add", "latent row", "style"),
        ],
        inputs={"latent": (FLOAT, ("n", 3)), "domain": (INT64, ("n",))},
        outputs={"style": ("n", 3)},
        constants={"table": np.array([[0, 0, 0], [10, 10, 10]], dtype=np.float32)},
    )


def painter() -> TinyGraph:
    """image * strength + tanh(style) for each channel."""
    return TinyGraph(
        nodes=[
            node("Tanh", "style", "t"),
            node("Unsqueeze", "t axes", "t4"),
            node("Unsqueeze", "strength axes3", "s4"),
            node("Mul", "image s4", "scaled"),
            node("Add", "scaled t4", "result"),
        ],
        inputs={"image": (FLOAT, IMAGE), "style": (FLOAT, ("n", 3)), "strength": (FLOAT, ("n",))},
        outputs={"result": IMAGE},
        constants={"axes": np.array([2, 3], dtype=np.int64), "axes3": np.array([1, 2, 3], dtype=np.int64)},
    )


def sampler() -> TinyGraph:
    """latent [n, 3] -> an image of 8x8 pixels in its colour."""
    return TinyGraph(
        nodes=[node("Unsqueeze", "latent axes", "l4"), node("Expand", "l4 size", "result")],
        inputs={"latent": (FLOAT, ("n", 3))},
        outputs={"result": ("n", 3, 8, 8)},
        constants={"axes": np.array([2, 3], dtype=np.int64), "size": np.array([1, 3, 8, 8], dtype=np.int64)},
    )


def average() -> TinyGraph:
    """image, reference -> the image's size in the reference's average colour."""
    return TinyGraph(
        nodes=[
            node("ReduceMean", "reference sides", "colour", keepdims=1),
            node("Mul", "image zero", "nothing"),
            node("Add", "nothing colour", "result"),
        ],
        inputs={"image": (FLOAT, IMAGE), "reference": (FLOAT, ("n", 3, "rh", "rw"))},
        outputs={"result": IMAGE},
        constants={"sides": np.array([2, 3], dtype=np.int64), "zero": np.array([0], dtype=np.float32)},
    )


def grey() -> TinyGraph:
    """An image of one channel, as it is."""
    shape = ("n", 1, "h", "w")
    return TinyGraph(
        nodes=[node("Identity", "image", "result")], inputs={"image": (FLOAT, shape)}, outputs={"result": shape}
    )


def image_input(rule: SizeRule | None = None, name: str = "image") -> ImageInput:
    return ImageInput(name=name, size=rule or SizeRule(height=16, width=16, dynamic=True, multiple=4, minimum=8))


def translate(rule: SizeRule | None = None) -> Operation:
    """Two directions, each a graph of its own, chosen by the label."""
    return Operation(
        name="translate",
        inputs=(image_input(rule), LabelInput(name="domain", names=("negative", "same"), default="same")),
        outputs=(ImageOutput(name="image"), HeatmapOutput(name="attention")),
        steps=tuple(
            GraphCall(
                graph=graph,
                inputs={"image": "image"},
                outputs={"result": "image", "attention": "attention"},
                when={"domain": label},
            )
            for graph, label in (("negate", "negative"), ("keep", "same"))
        ),
    )


def edit() -> Operation:
    """Two graphs in a row: latent and label make a style, the style colours the image."""
    return Operation(
        name="edit",
        inputs=(
            image_input(),
            LatentInput(name="latent", shape=(3,)),
            LabelInput(name="domain", names=("zero", "ten")),
            ScalarInput(name="strength", default=1, minimum=0, maximum=2),
        ),
        outputs=(ImageOutput(name="image"), VectorOutput(name="style")),
        steps=(
            GraphCall(graph="mapping", inputs={"latent": "latent", "domain": "domain"}, outputs={"style": "style"}),
            GraphCall(
                graph="painter",
                inputs={"image": "image", "style": "style", "strength": "strength"},
                outputs={"result": "image"},
            ),
        ),
        interpolation=Interpolation(value="style"),
    )


def sample() -> Operation:
    return Operation(
        name="sample",
        inputs=(LatentInput(name="latent", shape=(3,), distribution="uniform"),),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="sampler", inputs={"latent": "latent"}, outputs={"result": "image"}),),
    )


def translate_like() -> Operation:
    """Two images, which may have different sizes."""
    reference = image_input(SizeRule(height=8, width=8), name="reference")
    step = GraphCall(graph="average", inputs={"image": "image", "reference": "reference"}, outputs={"result": "image"})
    return Operation(
        name="translate_like",
        inputs=(image_input(), reference),
        outputs=(ImageOutput(name="image"),),
        steps=(step,),
    )


def enhance() -> Operation:
    """One channel in, one channel out."""
    return Operation(
        name="enhance",
        inputs=(ImageInput(name="image", channels=1, value_range=(0, 1), size=SizeRule(height=8, width=8)),),
        outputs=(ImageOutput(name="image", value_range=(0, 1)),),
        steps=(GraphCall(graph="grey", inputs={"image": "image"}, outputs={"result": "image"}),),
    )


def manifest(operations: Sequence[Operation], graphs: Mapping[str, GraphFile]) -> Manifest:
    licence = Licence(spdx="CC0-1.0")
    case = ParityCase(graph=next(iter(graphs)), output="result", batch=1, inputs="noise", max_abs=0, relative=0)
    return Manifest(
        name="tiny",
        model="tiny",
        paper=Paper(title="Tiny", authors="Nobody", year=2026),
        model_licence=licence,
        weights=WeightsSource(name="tiny", sha256="0" * 64, licence=licence, provenance="written by hand"),
        config={},
        precision="fp32",
        opset=20,
        operations=tuple(operations),
        graphs=dict(graphs),
        parity=Parity(tolerance=1e-4, relative=0, reference="itself", cases=(case,), versions={}),
        made_by={},
    )


def write_bundle(folder: Path, operations: Sequence[Operation], graphs: Mapping[str, TinyGraph]) -> Path:
    """A complete bundle; each .onnx carries the manifest, in which only its own size and hash are left open."""
    folder.mkdir(parents=True, exist_ok=True)
    blank = {name: graph.record(f"{name}.onnx", b"?") for name, graph in graphs.items()}
    embedded = manifest(operations, blank).model_dump_json()
    records: dict[str, GraphFile] = {}
    for name, graph in graphs.items():
        model = graph.model()
        helper.set_model_props(model, {MANIFEST_KEY: embedded, GRAPH_KEY: name})
        data = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
        records[name] = graph.record(f"{name}.onnx", data)
    (folder / MANIFEST_FILE).write_text(manifest(operations, records).model_dump_json(indent=1))
    return folder


ALL_GRAPHS: Mapping[str, Callable[[], TinyGraph]] = {
    "negate": lambda: translator(-1),
    "keep": lambda: translator(1),
    "mapping": mapping,
    "painter": painter,
    "sampler": sampler,
    "average": average,
    "grey": grey,
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The folder of a bundle with the operations translate, edit, sample, translate_like and enhance."""
    graphs = {name: make() for name, make in ALL_GRAPHS.items()}
    return write_bundle(tmp_path / "tiny", (translate(), edit(), sample(), translate_like(), enhance()), graphs)


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """A bundle whose only operation, translate, takes images of 16x16 pixels and no others."""
    graphs = {"negate": translator(-1), "keep": translator(1)}
    return write_bundle(tmp_path / "fixed", (translate(SizeRule(height=16, width=16)),), graphs)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A bundle of images of 64 x 64 whose left eye is red, right eye green and mouth blue.

    It gives images back; the heat is how far a channel exceeds the mean of the three, at a quarter of the size.
    """
    shape = ("n", 3, 64, 64)
    find = TinyGraph(
        nodes=[
            node("Constant", "", "axes", value_ints=[1]),
            node("ReduceMean", "image axes", "grey", keepdims=1),
            node("Sub", "image grey", "excess"),
            node("Relu", "excess", "hot"),
            node("MaxPool", "hot", "heat", kernel_shape=[4, 4], strides=[4, 4]),
        ],
        inputs={"image": (FLOAT, shape)},
        outputs={"heat": ("n", 3, 16, 16)},
    )
    keep = TinyGraph(
        nodes=[node("Identity", "image", "same")], inputs={"image": (FLOAT, shape)}, outputs={"same": shape}
    )
    which = Landmarks(graph="find", input="image", output="heat", left_eye=(0,), right_eye=(1,), mouth=(2,))
    operation = Operation(
        name="translate",
        inputs=(ImageInput(name="image", size=SizeRule(height=64, width=64), face=which),),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="keep", inputs={"image": "image"}, outputs={"same": "image"}),),
    )
    return write_bundle(tmp_path / "faces", (operation,), {"find": find, "keep": keep})


@pytest.fixture
def bad_images() -> Path:
    """The folder of broken, hostile and odd image files, with expected.csv."""
    return BAD


@pytest.fixture
def logarithm(tmp_path: Path) -> Path:
    """A bundle whose translate takes the logarithm of the image in [-1, 1]: not a number where it is dark."""
    graph = TinyGraph(
        nodes=[node("Log", "image", "result")], inputs={"image": (FLOAT, IMAGE)}, outputs={"result": IMAGE}
    )
    operation = Operation(
        name="translate",
        inputs=(image_input(),),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="log", inputs={"image": "image"}, outputs={"result": "image"}),),
    )
    return write_bundle(tmp_path / "logarithm", (operation,), {"log": graph})


@pytest.fixture
def edit_manifest() -> Callable[[Path, Callable[[dict[str, object]], None]], None]:
    """Change the manifest of a bundle's folder in place, as somebody with a text editor would."""

    def change(folder: Path, edit_it: Callable[[dict[str, object]], None]) -> None:
        path = folder / MANIFEST_FILE
        value = json.loads(path.read_text())
        edit_it(value)
        path.write_text(json.dumps(value))

    return change
