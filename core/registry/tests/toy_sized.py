"""A bundle whose results have the caller's size: `retarget`, `sample`, `animate`, `edit` and `paint`."""

from __future__ import annotations

from pathlib import Path

from onnx import helper
from toy_styled import graph_file, write_manifest

from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.grid import GridInput
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.schema.graphs import GraphFile
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Interpolation, Operation, Walk

IMAGE_AXES: tuple[int | str, ...] = ("batch", 3, "h", "w")
RESULT: tuple[int | str, ...] = ("batch", 3, "oh", "ow")
HEIGHT, WIDTH = 8, 12
"""own size of what starts from nothing"""

IMAGE = ImageInput(name="image", size=SizeRule(height=16, width=16, dynamic=True), fit="native")


def write_sized_bundle(folder: Path) -> Path:
    """`retarget(image, size)`, `sample(noise, size)`, `animate()`, `edit(image, mask)` and `paint(image, noise)`."""
    folder.mkdir()
    graphs = _graphs(folder)
    return write_manifest(folder, "sized", (_retarget(), _sample(), _animate(), _edit(), _paint()), graphs)


def _graphs(folder: Path) -> dict[str, GraphFile]:
    look = helper.make_node("GridSample", ["image", "grid"], ["looked"], align_corners=1, padding_mode="border")
    grid: tuple[int | str, ...] = ("batch", "oh", "ow", 2)
    mask: tuple[int | str, ...] = ("batch", 1, "h", "w")
    wander = [
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 1, 1, 1]),
        helper.make_node("Reshape", ["anchor", "shape"], ["anchor4"]),
        helper.make_node("Constant", [], ["tenth"], value_float=0.1),
        helper.make_node("Mul", ["noise", "tenth"], ["quiet"]),
        helper.make_node("Mul", ["anchor4", "tenth"], ["held"]),
        helper.make_node("Add", ["quiet", "held"], ["drawn"]),
    ]
    add = helper.make_node("Add", ["image", "noise"], ["painted"])
    multiply = helper.make_node("Mul", ["image", "mask"], ["edited"])
    return {
        "look": graph_file(folder, "look", [look], {"image": IMAGE_AXES, "grid": grid}, {"looked": RESULT}),
        "wander": graph_file(
            folder, "wander", wander, {"noise": IMAGE_AXES, "anchor": ("batch",)}, {"drawn": IMAGE_AXES}
        ),
        "multiply": graph_file(
            folder, "multiply", [multiply], {"image": IMAGE_AXES, "mask": mask}, {"edited": IMAGE_AXES}
        ),
        "add": graph_file(folder, "add", [add], {"image": IMAGE_AXES, "noise": IMAGE_AXES}, {"painted": IMAGE_AXES}),
    }


def _retarget() -> Operation:
    return Operation(
        name="retarget",
        inputs=(
            IMAGE,
            SizeInput(height=16, width=16, image="image", rounding="down", multiple=4, minimum_height=4),
            ScalarInput(name="left_shift", default=0, minimum=-0.5, maximum=0.5),
            ScalarInput(name="right_shift", default=0, minimum=-0.5, maximum=0.5),
            GridInput(name="grid", image="image", left_shift="left_shift", right_shift="right_shift"),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="look", inputs={"image": "image", "grid": "grid"}, outputs={"looked": "image"}),),
        interpolation=Interpolation(value="size"),
    )


def _sample() -> Operation:
    step = GraphCall(graph="wander", inputs={"noise": "noise"}, constants={"anchor": 0.0}, outputs={"drawn": "image"})
    return Operation(
        name="sample",
        inputs=(
            SizeInput(height=HEIGHT, width=WIDTH, minimum_height=4),
            NoiseInput(name="noise", channels=3, height=HEIGHT, width=WIDTH),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(step,),
    )


def _animate() -> Operation:
    step = GraphCall(graph="wander", inputs={"noise": "noise", "anchor": "anchor"}, outputs={"drawn": "image"})
    return Operation(
        name="animate",
        inputs=(
            NoiseInput(name="noise", channels=3, height=HEIGHT, width=WIDTH, default="zeros"),
            *(ScalarInput(name=name, default=0.5, minimum=0, maximum=1) for name in ("anchor", "pull", "inertia")),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(step,),
        walk=Walk(anchor="anchor", pull="pull", inertia="inertia", first=0.05),
    )


def _edit() -> Operation:
    return Operation(
        name="edit",
        inputs=(
            IMAGE,
            MaskInput(name="mask", image="image"),
            ScalarInput(name="start_scale", default=1, minimum=0, maximum=4, whole=True),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="multiply", inputs={"image": "image", "mask": "mask"}, outputs={"edited": "image"}),),
    )


def _paint() -> Operation:
    """Two maps of noise, of which each call draws both."""
    maps = [NoiseInput(name=f"noise_{number}", channels=3, height=8, width=8) for number in range(2)]
    steps = (
        GraphCall(graph="add", inputs={"image": "image", "noise": "noise_0"}, outputs={"painted": "half"}),
        GraphCall(graph="add", inputs={"image": "half", "noise": "noise_1"}, outputs={"painted": "image"}),
    )
    return Operation(name="paint", inputs=(IMAGE, *maps), outputs=(ImageOutput(name="image"),), steps=steps)
