"""Several labels of a list, some of which exclude each other, from a word to a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.errors import OptionError
from i2i_runtime.kinds.labels import LabelsInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

from .conftest import FLOAT, IMAGE, TinyGraph, image_input, node, write_bundle

NAMES = ("black_hair", "blond_hair", "brown_hair", "male", "young")
HAIR = NAMES[:3]
WEIGHTS = np.array([[1], [2], [4], [8], [16]], dtype=np.float32) / 32
"""of each set of labels another sum"""


def attributes(default: str | None = None) -> LabelsInput:
    return LabelsInput(name="labels", names=NAMES, groups=(HAIR,), default=default)


def bundle(folder: Path, labels: LabelsInput) -> Path:
    """An image of zeros, plus the sum of the weights of its labels."""
    graph = TinyGraph(
        nodes=[
            node("MatMul", "labels weights", "sum"),
            node("Unsqueeze", "sum axes", "sum4"),
            node("Mul", "image nothing", "black"),
            node("Add", "black sum4", "result"),
        ],
        inputs={"image": (FLOAT, IMAGE), "labels": (FLOAT, ("n", len(NAMES)))},
        outputs={"result": IMAGE},
        constants={
            "weights": WEIGHTS,
            "axes": np.array([2, 3], dtype=np.int64),
            "nothing": np.zeros(1, dtype=np.float32),
        },
    )
    step = GraphCall(graph="sum", inputs={"image": "image", "labels": "labels"}, outputs={"result": "image"})
    operation = Operation(
        name="translate", inputs=(image_input(), labels), outputs=(ImageOutput(name="image"),), steps=(step,)
    )
    return write_bundle(folder, (operation,), {"sum": graph})


def summed(result: object) -> float:
    """What the graph added, of an image in [0, 1] that stands for [-1, 1]."""
    return float(np.asarray(result, dtype=np.float32).mean()) * 2 - 1


GREY = np.full((16, 16, 3), 0.5, dtype=np.float32)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("", 0), ("male", 8), ("blond_hair, male", 10), ("young,brown_hair", 20), ("male, young, black_hair", 25)],
)
def test_labels_reach_the_graph_as_ones(tmp_path: Path, said: str, expected: int) -> None:
    with i2i.load(bundle(tmp_path, attributes()), device="cpu") as loaded:
        assert summed(loaded.translate(GREY, labels=said)) == pytest.approx(expected / 32, abs=1e-5)


def test_every_item_may_have_labels_of_its_own(tmp_path: Path) -> None:
    with i2i.load(bundle(tmp_path, attributes()), device="cpu") as loaded:
        made = loaded.translate([GREY, GREY, GREY], labels=["male", "", "young, blond_hair"])
    assert [summed(image) * 32 for image in made] == pytest.approx([8, 0, 18], abs=1e-3)


def test_labels_may_be_zeros_and_ones(tmp_path: Path) -> None:
    with i2i.load(bundle(tmp_path, attributes()), device="cpu") as loaded:
        same = loaded.translate([GREY, GREY], labels=np.array([0, 1, 0, 1, 0]))
        each = loaded.translate([GREY, GREY], labels=np.array([[True, False, False, False, True], [False] * 5]))
        listed = loaded.translate([GREY, GREY], labels=[False, True, False, True, False])
        lists = loaded.translate([GREY, GREY], labels=[[1, 0, 0, 0, 1], (0, 0, 0, 0, 0)])
    made = [summed(image) * 32 for image in (*same, *each, *listed, *lists)]
    assert made == pytest.approx([10, 10, 17, 0, 10, 10, 17, 0], abs=1e-3)


def test_targets_of_the_official_test_are_taken_as_they_are(tmp_path: Path) -> None:
    """Those that yunjey/stargan at 94dd002 makes of a young face without a hair colour, one for each attribute."""
    rows = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], np.float32)
    words = ["black_hair, young", "blond_hair, young", "brown_hair, young", "male, young", ""]
    with i2i.load(bundle(tmp_path, attributes()), device="cpu") as loaded:
        for given in (rows, words):
            made = [summed(image) * 32 for image in loaded.translate([GREY] * 5, labels=given)]
            assert made == pytest.approx([17, 18, 20, 24, 0], abs=1e-3)


def test_a_default_is_taken_where_nothing_is_said(tmp_path: Path) -> None:
    with i2i.load(bundle(tmp_path, attributes("young")), device="cpu") as loaded:
        assert summed(loaded.translate(GREY)) * 32 == pytest.approx(16, abs=1e-3)


@pytest.mark.parametrize(
    ("said", "found", "expected"),
    [
        (
            "blond_hair, black_hair",
            "'black_hair' and 'blond_hair'",
            f"one of {', '.join(HAIR)} at most",
        ),
        ("male, yuong", "labels='yuong'", "young"),
        (["male", "young"], "2 values for 'labels'", "one, or 1"),
        (1.0, "labels is a float", "0 and 1 for each label"),
        (np.array([1, 1, 0, 0, 0]), "'black_hair' and 'blond_hair'", f"one of {', '.join(HAIR)} at most"),
        (np.array([0, 0.5, 0, 0, 0]), "other numbers than 0 and 1", "1 for each label"),
        (np.zeros(4), "float64 of shape [4]", "float [5]"),
        ([1, 0, 0], "int64 of shape [3]", "float [5]"),
        ([[1, 0, 0, 0, 0], [1]], "lists of different lengths", "for each of 5 labels"),
        ([True, "male"], "2 values for 'labels'", "one, or 1"),
        (np.array(["male"]), "<U4 of shape [1]", "float [5]"),
        (np.array([1 + 1j, 0, 0, 0, 0]), "complex128 of shape [5]", "float [5]"),
        (np.array([1e300, 0, 0, 0, 0]), "not finite", "float [5]"),
        (None, "'labels' is missing", "some of: black_hair"),
        ({"male": True}, "labels is a dict", "0 and 1 for each label"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, said: Any, found: str, expected: str) -> None:
    with i2i.load(bundle(tmp_path, attributes()), device="cpu") as loaded, pytest.raises(OptionError) as caught:
        loaded.translate(GREY, labels=said)
    assert found in caught.value.found
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": ("a", "a")}, "repeat"),
        ({"names": ("a", "b, c")}, "between commas"),
        ({"groups": (("male", "beard"),)}, "'beard' in a group"),
        ({"groups": (("male", "young"), ("young", "black_hair"))}, "repeat"),
        ({"default": "blond_hair, brown_hair"}, "at most"),
    ],
)
def test_labels_that_contradict_themselves_are_refused(change: dict[str, object], reason: str) -> None:
    plain = {"name": "labels", "names": NAMES, "groups": (HAIR,)}
    with pytest.raises(ValidationError, match=reason):
        LabelsInput.model_validate(plain | change)
