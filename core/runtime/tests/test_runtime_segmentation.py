"""Label maps, from files in several forms to the one-hot map of a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.segmentation import SegmentationInput, edges_of
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, VectorOutput

from .conftest import FLOAT, INT64, TinyGraph, node, write_bundle

NAMES = ("sky", "grass", "tree")
COLOURS = ((70, 130, 180), (0, 128, 0), (107, 142, 35))
MAP = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [1, 1, 2, 2], [1, 1, 1, 0]], dtype=np.uint8)
LEVELS = np.array([-1, 0, 1, 0.5], dtype=np.float32)
"""what each class is painted as; the last one where it is unknown"""


def kind(*, unknown: bool = False, edges: bool = False) -> SegmentationInput:
    return SegmentationInput(
        name="labels", height=4, width=4, names=NAMES, colours=COLOURS, has_unknown=unknown, has_edges=edges
    )


def bundle(folder: Path, value: SegmentationInput) -> Path:
    """The one-hot map of the labels times a level for each class, as an image; and the edges as they came."""
    classes = len(NAMES) + value.has_unknown
    shape = ("n", 1, 4, 4)
    nodes = [
        node("Squeeze", "labels one", "flat"),
        node("OneHot", "flat depth onoff", "hot", axis=1),
        node("Mul", "hot levels", "weighed"),
        node("ReduceSum", "weighed one", "grey", keepdims=1),
        node("Concat", "grey grey grey", "result", axis=1),
    ]
    inputs = {"labels": (INT64, shape)}
    outputs = {"result": ("n", 3, 4, 4)}
    if value.has_edges:
        nodes.append(node("Identity", "labels_edges", "seen"))
        inputs["labels_edges"] = (FLOAT, shape)
        outputs["seen"] = shape
    graph = TinyGraph(
        nodes=nodes,
        inputs=inputs,
        outputs=outputs,
        constants={
            "one": np.array([1], dtype=np.int64),
            "depth": np.array(classes, dtype=np.int64),
            "onoff": np.array([0, 1], dtype=np.float32),
            "levels": LEVELS[:classes].reshape(1, classes, 1, 1),
        },
    )
    named = {"result": "image"} | ({"seen": "edges"} if value.has_edges else {})
    step = GraphCall(graph="paint", inputs={name: name for name in inputs}, outputs=named)
    shown = (ImageOutput(name="image"), *([VectorOutput(name="edges")] if value.has_edges else []))
    operation = Operation(name="paint", inputs=(value,), outputs=shown, steps=(step,))
    return write_bundle(folder / "paint", (operation,), {"paint": graph})


def painted(folder: Path, labels: Option, output: str = "image", **options: Option) -> NDArray[np.float32]:
    with i2i.load(folder, device="cpu") as loaded:
        (made,) = loaded.results("paint", None, [output], {"labels": labels, **options})
    return np.asarray(made[output], dtype=np.float32)


def expected(indices: NDArray[np.integer]) -> NDArray[np.float32]:
    """The image in 0..255 of one channel."""
    return np.rint((LEVELS[indices] + 1) / 2 * 255)


def forms_of(tmp_path: Path) -> dict[str, Option]:
    index, palette, colours = (tmp_path / f"{name}.png" for name in ("index", "palette", "colours"))
    Image.fromarray(MAP).save(index)
    indexed = Image.fromarray(MAP).convert("P")
    indexed.putpalette([level for colour in COLOURS for level in colour])
    indexed.putdata(MAP.ravel().tolist())
    indexed.save(palette)
    in_colours = np.array(COLOURS, dtype=np.uint8)[MAP]
    Image.fromarray(in_colours).save(colours)
    return {"index": index, "palette": str(palette), "colours": colours, "array": MAP, "pixels": in_colours}


@pytest.mark.parametrize("form", ["index", "palette", "colours", "array", "pixels"])
def test_a_map_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    made = painted(bundle(tmp_path, kind()), forms_of(tmp_path)[form])
    np.testing.assert_array_equal(made[..., 0], expected(MAP))


def test_a_larger_map_takes_the_nearest_index(tmp_path: Path) -> None:
    made = painted(bundle(tmp_path, kind()), MAP.repeat(3, 0).repeat(3, 1))
    np.testing.assert_array_equal(made[..., 0], expected(MAP))


def test_unknown_is_one_more_class_where_the_model_has_it(tmp_path: Path) -> None:
    holed = MAP.copy()
    holed[0, 0] = 255
    made = painted(bundle(tmp_path, kind(unknown=True)), holed)
    np.testing.assert_array_equal(made[..., 0], expected(np.where(holed == 255, 3, holed)))


def test_edges_lie_where_instances_meet(tmp_path: Path) -> None:
    instances = np.array([[1, 1, 2, 2]] * 4, dtype=np.uint8)
    made = painted(bundle(tmp_path, kind(edges=True)), MAP, "edges", labels_instances=instances)
    np.testing.assert_array_equal(made[0], [[0, 1, 1, 0]] * 4)
    assert not edges_of(np.zeros((4, 4), dtype=np.int32)).any()


@pytest.mark.parametrize(
    ("given", "found", "expected_"),
    [
        (np.full((4, 4), 3, np.uint8), "has the class 3", "0 to 2"),
        (np.full((4, 4), 255, np.uint8), "has the class 255", "0 to 2"),
        (np.full((4, 4, 3), 9, np.uint8), "has the colour (9, 9, 9) in 16 pixels", "3 colours"),
        (np.zeros((4, 4), np.float32), "a map of float32", "whole numbers"),
    ],
)
def test_maps_that_cannot_be_are_refused(tmp_path: Path, given: Option, found: str, expected_: str) -> None:
    with pytest.raises(ImageError) as caught:
        painted(bundle(tmp_path, kind()), given)
    assert found in caught.value.found
    assert expected_ in caught.value.expected


def test_a_map_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'labels_instances' is missing"):
        painted(bundle(tmp_path, kind(edges=True)), MAP, "edges")


def test_colours_have_to_tell_the_classes_apart() -> None:
    with pytest.raises(ValidationError, match="2 colours for 3 classes"):
        SegmentationInput(name="labels", height=4, width=4, names=NAMES, colours=(COLOURS[0], COLOURS[1], COLOURS[0]))
