"""One to many images whose codes a graph averages, from files to the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.image.resizing import BICUBIC, BILINEAR, Resize
from i2i_runtime.kinds.base import Gathering, Option
from i2i_runtime.kinds.columns import ArrayColumn
from i2i_runtime.kinds.references import ReferencesInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

from .conftest import FLOAT, IMAGE, TinyGraph, image_input, node, write_bundle

SHOWN = ReferencesInput(name="references", height=8, width=8, most=3)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The size of the image in the mean colour of all references."""
    graph = TinyGraph(
        nodes=[
            node("ReduceMean", "references sides", "colour", keepdims=0),
            node("Unsqueeze", "colour axes", "c4"),
            node("Mul", "image zero", "nothing"),
            node("Add", "nothing c4", "result"),
        ],
        inputs={"image": (FLOAT, IMAGE), "references": (FLOAT, ("n", "k", 3, 8, 8))},
        outputs={"result": IMAGE},
        constants={
            "sides": np.array([1, 3, 4], dtype=np.int64),
            "axes": np.array([2, 3], dtype=np.int64),
            "zero": np.zeros(1, dtype=np.float32),
        },
    )
    step = GraphCall(graph="mean", inputs={"image": "image", "references": "references"}, outputs={"result": "image"})
    outputs = (ImageOutput(name="image"),)
    operation = Operation(name="translate_like", inputs=(image_input(), SHOWN), outputs=outputs, steps=(step,))
    return write_bundle(tmp_path / "mean", (operation,), {"mean": graph})


def shade(level: int, side: int = 8) -> NDArray[np.uint8]:
    return np.full((side, side, 3), level, dtype=np.uint8)


def colours(folder: Path, count: int, references: Option) -> list[int]:
    """The grey level of the result of every item."""
    with i2i.load(folder, device="cpu") as loaded:
        made: object = loaded.translate_like([shade(0, 16)] * count, references=references)
    return [int(np.asarray(image)[0, 0, 0]) for image in np.asarray(made)]


def test_one_image_or_several_are_averaged(bundle: Path) -> None:
    assert colours(bundle, 1, shade(60)) == [60]
    assert colours(bundle, 1, [shade(0), shade(100), shade(200)]) == [100]


def test_a_list_is_for_all_items_and_lists_are_for_each(bundle: Path) -> None:
    assert colours(bundle, 2, [shade(0), shade(100)]) == [50, 50]
    assert colours(bundle, 3, [[shade(10)], [shade(0), shade(100)], [shade(40)]]) == [10, 50, 40]
    assert colours(bundle, 2, [shade(10), [shade(0), shade(100)]]) == [10, 50]


def test_images_are_resized_and_a_folder_is_its_images(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name, level in (("a.png", 20), ("b.png", 40)):
        Image.fromarray(shade(level, 21)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    assert colours(bundle, 1, str(folder)) == [30]
    assert colours(bundle, 1, folder / "b.png") == [40]
    assert colours(bundle, 2, [folder, shade(90)]) == [50, 50]
    assert colours(bundle, 2, [[folder], shade(90)]) == [30, 90]


def test_no_path_is_no_folder(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(shade(20)).save(tmp_path / "private.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError):
        colours(bundle, 1, "")


def test_a_folder_may_hold_arrays_of_other_channels(tmp_path: Path) -> None:
    levels = np.full((8, 8, 4), 255, np.uint8)
    np.save(tmp_path / "a.npy", levels)
    wide = ReferencesInput(name="references", height=8, width=8, channels=4)
    (tensor,) = tensors(wide, tmp_path, 1)
    np.testing.assert_array_equal(tensor, np.ones((1, 4, 8, 8), np.float32))


def tensors(kind: ReferencesInput, given: Option, count: int) -> list[NDArray[np.generic]]:
    column = Gathering([kind], count, {"references": given}).column("references", ArrayColumn)
    return [column.tensor(index) for index in range(count)]


def test_references_for_all_items_are_held_once() -> None:
    assert len({id(tensor) for tensor in tensors(SHOWN, [shade(0), shade(100)], 50)}) == 1


@pytest.mark.parametrize(
    ("resize", "filter_"), [(BILINEAR, Image.Resampling.BILINEAR), (BICUBIC, Image.Resampling.BICUBIC)]
)
def test_references_are_resized_as_the_input_says(resize: Resize, filter_: Image.Resampling) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (21, 13, 3), np.uint8))
    expected = np.asarray(image.resize((8, 8), filter_), dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1
    (tensor,) = tensors(SHOWN.model_copy(update={"resize": resize}), image, 1)
    np.testing.assert_allclose(tensor[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "count", "found", "expected"),
    [
        ([], 1, "0 images", "1 to 3"),
        ([shade(1)] * 4, 1, "4 images", "1 to 3"),
        ([[shade(1)], [shade(2)]], 3, "2 lists of images", "one, or 3"),
        ([[shade(1)], []], 2, "0 images", "1 to 3"),
        ([shade(1)] * 10**6, 1, "1000000 images", "1 to 3"),
        (None, 1, "'references' is missing", ""),
    ],
)
def test_references_that_cannot_be_are_refused(
    bundle: Path, given: Option, count: int, found: str, expected: str
) -> None:
    with pytest.raises(OptionError) as caught:
        colours(bundle, count, given)
    assert found in caught.value.found
    assert expected in caught.value.expected


def test_what_is_no_image_is_refused_by_name(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png"):
        colours(bundle, 1, [tmp_path / "missing.png"])


NO_IMAGES: dict[str, Any] = {
    "a dictionary": {"a.png": 1},
    "a generator": (each for each in [shade(1)]),
    "a number": [3],
    "a list too deep": [[[shade(1)]]],
    "nothing": [None],
    "not finite": np.full((8, 8, 3), np.nan),
    "a batch": np.zeros((2, 8, 8, 3), np.uint8),
}


@pytest.mark.parametrize("given", NO_IMAGES)
def test_what_is_no_image_is_refused(bundle: Path, given: str) -> None:
    with pytest.raises(ImageError):
        colours(bundle, 1, NO_IMAGES[given])


def test_what_would_take_all_memory_is_refused_in_the_manifest() -> None:
    with pytest.raises(ValidationError, match="256 images of more than"):
        ReferencesInput(name="references", height=4096, width=4096, most=256)


@pytest.mark.parametrize(
    "change",
    [
        {"most": 0},
        {"most": 257},
        {"height": 0},
        {"width": 2**63},
        {"channels": 65},
        {"value_range": [1, 0]},
        {"value_range": [float("nan"), 1]},
        {"resize": {"kernel": "magic"}},
        {"shows": "image"},
    ],
    ids=str,
)
def test_a_manifest_cannot_ask_for_what_is_no_set_of_images(change: dict[str, object]) -> None:
    plain = SHOWN.model_dump(mode="json")
    assert ReferencesInput.model_validate_json(json.dumps(plain)) == SHOWN
    with pytest.raises(ValidationError):
        ReferencesInput.model_validate_json(json.dumps(plain | change))


def test_the_usual_references_are_two_unless_one_is_the_most() -> None:
    for most, counts in ((1, {1}), (2, {2}), (64, {2})):
        kind = SHOWN.model_copy(update={"most": most})
        assert {tensor.shape[0] for given in kind.examples({}) for tensor in tensors(kind, given, 1)} == counts
