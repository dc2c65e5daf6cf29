"""A manifest asks for nothing without bounds, and what its graphs give is what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import i2i_runtime as i2i
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.schema.operations import MAX_BRANCHES, GraphCall, ImageOutput, Operation

from .conftest import FLOAT, IMAGE, Shape, TinyGraph, image_input, node, write_bundle

Edit = Callable[[dict[str, Any]], object]
GREY = np.full((16, 16, 3), 9, np.uint8)


def translate_of(manifest: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = manifest["operations"][0]
    return operation


def labels(count: int, classes: int = 2) -> list[dict[str, Any]]:
    names = [f"x{index}" for index in range(classes)]
    return [{"kind": "label", "name": f"l{index}", "names": names, "default": "x0"} for index in range(count)]


def many_branches(manifest: dict[str, Any]) -> None:
    operation = translate_of(manifest)
    operation["inputs"] += labels(40)
    operation["steps"] += [
        {**operation["steps"][0], "when": {f"l{index}": "x0" for index in range(40)}},
    ]


def many_parts(manifest: dict[str, Any]) -> None:
    operation = translate_of(manifest)
    operation["inputs"] += labels(4000)
    operation["steps"] *= 2000


def number(key: str, value: object, place: int = 0) -> Edit:
    return lambda manifest: translate_of(manifest)["inputs"][place].update({key: value})


def size(key: str, value: object) -> Edit:
    return lambda manifest: translate_of(manifest)["inputs"][0]["size"].update({key: value})


def deep(manifest: dict[str, Any]) -> None:
    value: list[Any] = []
    for _ in range(200):
        value = [value]
    manifest["config"]["deep"] = value


# What a manifest says -> words of the error.
BAD: dict[str, tuple[Edit, str]] = {
    "combinations of labels": (many_branches, "combinations of labels, at most 256"),
    "thousands of inputs and steps": (many_parts, "at most 256 items"),
    "an empty range": (number("value_range", [0, 0]), "a range from 0 to 0"),
    "a range upside down": (number("value_range", [1, -1]), "a range from 1 to -1"),
    "a range without an end": (number("value_range", [-1, float("inf")]), "Infinity is no number"),
    "a range that is no number": (number("value_range", [float("nan"), 1]), "NaN is no number"),
    "a range beyond float32": (number("value_range", [-1, 1e300]), "cannot be told apart in float32"),
    "a range of no width": (number("value_range", [0, 1e-300]), "cannot be told apart in float32"),
    "a constant beyond float32": (
        lambda m: m["operations"][0]["steps"][0].update(constants={"x": 1e300}),
        "constants.x: Input should be less than",
    ),
    "a tolerance without an end": (lambda m: m["parity"].update(tolerance=float("inf")), "Infinity is no number"),
    "sides beyond bounds": (size("height", 100_000), "less than or equal to 65536"),
    "an image beyond bounds": (lambda m: [size("height", 60_000)(m), size("width", 60_000)(m)], "pixels"),
    "a multiple beyond bounds": (size("multiple", 2**40), "less than or equal to 65536"),
    "a class name of a megabyte": (number("names", ["x" * 2**20], 1), "at most 200 characters"),
    "a graph beyond protobuf": (lambda m: m["graphs"]["keep"].update(size=2**40), "less than or equal to 2147483647"),
    "deep nesting": (deep, "nests more than 32"),
    "an operation twice": (lambda m: m["operations"].append(m["operations"][0]), r"\['translate'\] are there twice"),
    "an image as a vector": (
        lambda m: m["graphs"]["keep"]["inputs"][0].update(shape=["n", 3]),
        r"translate: graph 'keep' takes 'image' as float32\['n', 3\]",
    ),
    "other channels": (number("channels", 1), "takes 'image' as"),
    "an output without axes": (lambda m: m["graphs"]["keep"]["outputs"][0].update(shape=[]), r"graphs\.keep\.outputs"),
    "an output of other axes": (
        lambda m: m["graphs"]["keep"]["outputs"][0].update(shape=["n", 3]),
        "translate: the image 'image' is made as",
    ),
    "a map of three channels": (
        lambda m: m["graphs"]["keep"]["outputs"][1].update(shape=["n", 3, "h", "w"]),
        "the heatmap 'attention' is made as",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_manifest_beyond_bounds_is_refused_with_the_place(tiny: Path, case: str) -> None:
    edit, words = BAD[case]
    manifest = json.loads((tiny / "manifest.json").read_text())
    edit(manifest)
    (tiny / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(i2i.BundleError, match=words) as caught:
        i2i.load(tiny)
    assert len(str(caught.value)) < 2000


TEXTS = {
    "a number beyond floats": ('"tolerance":0.0001', '"tolerance":1e999', "tolerance: Input should be a finite number"),
    "a number of a million digits": ('"opset":20', '"opset":' + "9" * 1_000_000, "is not JSON"),
    "a key twice": ('"opset":20', '"opset":20,"opset":21', "'opset' is there twice"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_json_that_others_might_read_otherwise_is_refused(tiny: Path, case: str) -> None:
    old, new, words = TEXTS[case]
    text = json.dumps(json.loads((tiny / "manifest.json").read_text()), separators=(",", ":"))
    assert old in text
    (tiny / "manifest.json").write_text(text.replace(old, new))
    with pytest.raises(i2i.BundleError, match=words):
        i2i.load(tiny)


@pytest.mark.parametrize("text", ["[" * 500_000, "[" * 500_000 + "]" * 500_000, "[[],[]," * 250_000, '{"a":' * 300_000])
def test_a_manifest_of_brackets_is_refused_within_bounds(tiny: Path, text: str) -> None:
    (tiny / "manifest.json").write_text(text)
    code = (
        "import resource, sys, i2i_runtime\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "try: i2i_runtime.load(sys.argv[1])\n"
        "except i2i_runtime.BundleError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny)], capture_output=True, text=True, check=True)
    assert "is not JSON" in done.stdout


def test_as_many_combinations_as_are_allowed_are_fine() -> None:
    made = Operation.model_validate(
        {
            "name": "translate",
            "inputs": [image_input().model_dump(), *labels(8)],
            "outputs": [{"kind": "image", "name": "image"}],
            "steps": [
                {"graph": "g", "inputs": {"image": "image"}, "outputs": {"result": "image"}},
                *(
                    {"graph": "g", "inputs": {"image": "image"}, "outputs": {"result": "image"}, "when": {name: "x0"}}
                    for name in (f"l{index}" for index in range(8))
                ),
            ],
        }
    )
    assert len(list(made.branches())) == MAX_BRANCHES


def test_control_characters_of_a_manifest_are_shown_escaped(tiny: Path) -> None:
    manifest = json.loads((tiny / "manifest.json").read_text())
    manifest["name"] = "\x1b[2J\x07\u202ename"
    manifest["\x1b[31m"] = 1
    (tiny / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(i2i.BundleError) as caught:
        i2i.load(tiny)
    assert r"\x1b[31m: Extra inputs" in str(caught.value)
    del manifest["\x1b[31m"]
    (tiny / "manifest.json").write_text(json.dumps(manifest))
    bundle = i2i.load(tiny)
    with pytest.raises(i2i.OptionError) as unknown:
        bundle.nothing()
    for text in (bundle.report, str(unknown.value)):
        assert text.isprintable() or text.replace("\n", "").isprintable()
        assert r"\x1b[2J\x07" in text


def one_graph(folder: Path, graph: TinyGraph) -> i2i.Bundle:
    """A bundle whose translate is this graph, image -> result."""
    operation = Operation(
        name="translate",
        inputs=(image_input(), LabelInput(name="domain", names=("a", "b"), default="a")),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="g", inputs={"image": "image"}, outputs={"result": "image"}),),
    )
    return i2i.load(write_bundle(folder, (operation,), {"g": graph}))


# The node that makes "result" -> what comes out.
WRONG: dict[str, tuple[list[Any], Shape, str]] = {
    "no axes": ([node("ReduceMean", "image", "result", keepdims=0)], ("n", 3, "h", "w"), r"float32\[\]"),
    "twice the batch": ([node("Concat", "image image", "result", axis=0)], IMAGE, r"float32\[2, 3, 16, 16\]"),
    "twice the batch, called otherwise": (
        [node("Concat", "image image", "result", axis=0)],
        ("m", 3, "h", "w"),
        r"float32\[2, 3, 16, 16\]",
    ),
    "six channels": ([node("Concat", "image image", "result", axis=1)], IMAGE, r"float32\[1, 6, 16, 16\]"),
    "twice the width": ([node("Concat", "image image", "result", axis=3)], IMAGE, r"float32\[1, 3, 16, 32\]"),
    "whole numbers": ([node("Cast", "image", "result", to=7)], IMAGE, r"int64\[1, 3, 16, 16\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_output_that_is_not_as_the_manifest_says_is_refused_by_name(tmp_path: Path, case: str) -> None:
    nodes, shape, found = WRONG[case]
    graph = Unchecked(nodes=nodes, inputs={"image": (FLOAT, IMAGE)}, outputs={"result": shape})
    with (
        one_graph(tmp_path / "wrong", graph) as bundle,
        pytest.raises(i2i.RunError, match=rf"output 'result' of graph 'g' is {found}"),
    ):
        bundle.translate(GREY)


class Unchecked(TinyGraph):
    """A graph whose file says nothing about the shape and type of its outputs, and whose manifest may be wrong."""

    def model(self) -> Any:
        from onnx import helper  # noqa: PLC0415 - here only

        (result,) = self.outputs
        graph = helper.make_graph(
            list(self.nodes),
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in self.inputs.items()],
            [helper.make_empty_tensor_value_info(result)],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
