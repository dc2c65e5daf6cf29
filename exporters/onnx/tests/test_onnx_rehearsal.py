"""Operations whose graphs are right by themselves and which cannot run are found before a bundle is published."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from pydantic import ValidationError

from i2i_exporter_onnx.bundle import finish, write_graph
from i2i_exporter_onnx.rehearsal import rehearse
from i2i_registry.errors import ExportError
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.schema.manifest import Manifest, WeightsSource
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Input, Operation
from i2i_runtime.schema.parity import Parity, ParityCase

GRAPHS = {
    "colour": "(float[batch,3,height,width] x) => (float[batch,3,height,width] y) { y = Tanh (x) }",
    "grey": "(float[batch,1,height,width] x) => (float[batch,1,height,width] y) { y = Tanh (x) }",
    "classes": """(float[batch,3,height,width] x, int64[batch] label) => (float[batch,3,height,width] y)
        <float[2,1,1,1] table = {0.5, 0.25}> { factor = Gather (table, label)  y = Mul (x, factor) }""",
    "blend": """(float[batch,3,height,width] x, float[batch,3,height,width] other, float[batch,1,height,width] mask)
        => (float[batch,3,height,width] y) { part = Mul (other, mask)  y = Add (x, part) }""",
    "spoiled": "(float[batch,3,height,width] x) => (float[batch,3,height,width] y) { z = Sub (x, x)  y = Div (x, z) }",
}
SIZE = SizeRule(height=8, width=12, dynamic=True, multiple=4, minimum=4)
IMAGE = ImageInput(name="image", size=SIZE)
RESULT = (ImageOutput(name="image"),)
ANIMALS = LabelInput(name="animal", names=("cat", "dog"), default="dog")


def call(graph: str, *, when: dict[str, str] | None = None, **inputs: str) -> GraphCall:
    return GraphCall(graph=graph, inputs={"x": "image", **inputs}, outputs={"y": "image"}, when=when or {})


def translate(inputs: tuple[Input, ...], *steps: GraphCall, outputs: tuple[ImageOutput, ...] = RESULT) -> Operation:
    return Operation(name="translate", inputs=inputs, outputs=outputs, steps=steps)


def written(folder: Path, operation: Operation) -> Path:
    """A bundle of this operation, with no gate before it."""
    header = '<ir_version: 10, opset_import: ["" : 20]>'
    names = dict.fromkeys(step.graph for step in operation.steps)
    files = {name: write_graph(ir.from_onnx_text(f"{header} {name} {GRAPHS[name]}"), folder, name) for name in names}
    case = ParityCase(graph=next(iter(names)), output="y", batch=1, inputs="noise", max_abs=0, relative=0)
    licence = Licence(spdx="CC0-1.0")
    manifest = Manifest(
        name="toy",
        model="toy",
        paper=Paper(title="", authors="", year=2020),
        model_licence=licence,
        weights=WeightsSource(name="toy", sha256="0" * 64, licence=licence, provenance="drawn"),
        config={},
        precision="fp32",
        opset=20,
        operations=(operation,),
        graphs=files,
        parity=Parity(tolerance=1e-4, relative=0, reference="itself", cases=(case,), versions={}),
        made_by={},
    )
    finish(folder, manifest)
    return folder


GOOD: dict[str, Operation] = {
    "one way": translate((IMAGE,), call("colour")),
    "two directions": translate(
        (IMAGE, ANIMALS),
        call("colour", when={"animal": "cat"}),
        call("classes", when={"animal": "dog"}, label="animal"),
    ),
    "more images, a mask and numbers": translate(
        (
            IMAGE.model_copy(update={"size": SizeRule(height=8, width=8)}),
            ImageInput(name="other", size=SizeRule(height=8, width=8)),
            MaskInput(name="where", image="other"),
        ),
        call("blend", other="other", mask="where"),
    ),
    "grey": translate(
        (IMAGE.model_copy(update={"channels": 1}),), call("grey"), outputs=(ImageOutput(name="image", channels=1),)
    ),
}


@pytest.mark.parametrize("operation", GOOD.values(), ids=GOOD)
def test_what_runs_is_accepted(operation: Operation, tmp_path: Path) -> None:
    told: list[str] = []
    rehearse(written(tmp_path, operation), 1, told.append)
    ways = " with 2 choices of classes" if ANIMALS in operation.inputs else ""
    assert told == [f"translate: runs from end to end{ways}"]


FAULTS: dict[str, tuple[Operation, str]] = {
    "a class that the table has no row for": (
        translate(
            (IMAGE, ANIMALS.model_copy(update={"names": ("cat", "dog", "cow")})), call("classes", label="animal")
        ),
        "with animal=cow does not run",
    ),
    "a result that is no number": (translate((IMAGE,), call("spoiled")), "does not run"),
}


@pytest.mark.parametrize(("operation", "message"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_run_is_refused(operation: Operation, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        rehearse(written(tmp_path, operation), 1, lambda _line: None)
    assert "translate" in caught.value.found


MISFITS: dict[str, tuple[Operation, str]] = {
    "the first direction is of colour, the second of grey": (
        translate((IMAGE, ANIMALS), call("colour", when={"animal": "dog"}), call("grey", when={"animal": "cat"})),
        r"graph 'grey' takes 'x' as float32\['batch', 1, .*and gets float32\['any', 3,",
    ),
    "a result of other channels than promised": (
        translate((IMAGE,), call("colour"), outputs=(ImageOutput(name="image", channels=1),)),
        r"'image' is made as \['any', 3, .*and is to be \['any', 1,",
    ),
    "a vector where an image belongs": (
        translate(
            (
                IMAGE,
                LatentInput(name="other", shape=(3, 1, 1)),
                ScalarInput(name="mask", default=0, minimum=0, maximum=1),
            ),
            call("blend", other="other", mask="mask"),
        ),
        r"graph 'blend' takes 'mask' as .*and gets float32\['any'\]",
    ),
}


@pytest.mark.parametrize(("operation", "message"), MISFITS.values(), ids=MISFITS)
def test_what_no_shape_fits_never_gets_a_manifest(operation: Operation, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        written(tmp_path, operation)
