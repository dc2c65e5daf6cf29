"""Label maps and instance maps, from files in several forms to the tensors of a graph."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.instances import InstancesInput, edges_of
from i2i_runtime.kinds.segmentation import SegmentationInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, VectorOutput

from .conftest import FLOAT, INT64, TinyGraph, node, write_bundle
from .test_runtime_colours import wide_profile

NAMES = ("sky", "grass", "tree")
COLOURS = ((70, 130, 180), (0, 128, 0), (107, 142, 35))
MAP = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [1, 1, 2, 2], [1, 1, 1, 0]], dtype=np.uint8)
LEVELS = np.array([-1, 0, 1, 0.5], dtype=np.float32)
"""what each class is painted as; the last one where it is unknown"""
VOID = (224, 224, 192)
BAD = Path(__file__).parent / "data" / "bad"


def kind(*, unknown: bool = False, coloured: bool = True) -> SegmentationInput:
    return SegmentationInput(
        name="labels", height=4, width=4, names=NAMES, colours=COLOURS if coloured else (), has_unknown=unknown
    )


def bundle(folder: Path, value: SegmentationInput, instances: InstancesInput | None = None) -> Path:
    """The one-hot map of the labels times a level for each class, as an image; and the edges as they came."""
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
    if instances:
        nodes.append(node("Identity", "instances", "seen"))
        inputs["instances"] = (FLOAT, shape)
        outputs["seen"] = shape
    graph = TinyGraph(
        nodes=nodes,
        inputs=inputs,
        outputs=outputs,
        constants={
            "one": np.array([1], dtype=np.int64),
            "depth": np.array(value.count, dtype=np.int64),
            "onoff": np.array([0, 1], dtype=np.float32),
            "levels": LEVELS[: value.count].reshape(1, value.count, 1, 1),
        },
    )
    named = {"result": "image"} | ({"seen": "edges"} if instances else {})
    step = GraphCall(graph="paint", inputs={name: name for name in inputs}, outputs=named)
    shown = (ImageOutput(name="image"), *([VectorOutput(name="edges")] if instances else []))
    given = (value, instances) if instances else (value,)
    operation = Operation(name="paint", inputs=given, outputs=shown, steps=(step,))
    return write_bundle(folder / "paint", (operation,), {"paint": graph})


def with_edges(folder: Path) -> Path:
    return bundle(folder, kind(), InstancesInput(name="instances", labels="labels", height=4, width=4))


def painted(folder: Path, labels: Option, output: str = "image", **options: Option) -> NDArray[np.float32]:
    with i2i.load(folder, device="cpu") as loaded:
        (made,) = loaded.run("paint", None, {"labels": labels, **options}, outputs=[output])
    return np.asarray(made[output], dtype=np.float32)


def expected(indices: NDArray[np.integer]) -> NDArray[np.float32]:
    """The image in 0..255 of one channel."""
    return np.rint((LEVELS[indices] + 1) / 2 * 255)


def in_palette(order: list[int]) -> Image.Image:
    """The map as a palette image whose palette has the colours in this order."""
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[MAP], "L").convert("P")
    image.putdata(np.argsort(order)[MAP].ravel().tolist())
    image.putpalette([level for index in order for level in COLOURS[index]])
    return image


def half_transparent() -> Image.Image:
    """The map in colours, of which every other row is transparent."""
    image = Image.fromarray(IN_COLOURS).convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([[0], [255], [0], [255]], np.uint8), 4, axis=1)))
    return image


def with_profile() -> Image.Image:
    """The map in colours, said to be those of a wide gamut."""
    image = Image.fromarray(IN_COLOURS)
    image.info["icc_profile"] = wide_profile()
    return image


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    stream = BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()


def stored(array: NDArray[np.generic]) -> bytes:
    """The content of a .npy file."""
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


IN_COLOURS = np.array(COLOURS, dtype=np.uint8)[MAP]
IMAGES: dict[str, Callable[[], Image.Image]] = {
    "index": lambda: Image.fromarray(MAP),
    "16 bits": lambda: Image.fromarray(MAP.astype(np.uint16)),
    "colours": lambda: Image.fromarray(IN_COLOURS),
    "opaque": lambda: Image.fromarray(IN_COLOURS).convert("RGBA"),
    "transparent in parts": half_transparent,
    "with a colour profile": with_profile,
    "palette": lambda: in_palette([0, 1, 2]),
    "palette of another order": lambda: in_palette([2, 0, 1]),
}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("form", ["path", "text", "bytes", "image"])
def test_an_image_is_read_in_every_form(tmp_path: Path, image: str, form: str) -> None:
    made = IMAGES[image]()
    (tmp_path / "map.png").write_bytes(encoded(made))
    given: Option = {
        "path": tmp_path / "map.png",
        "text": str(tmp_path / "map.png"),
        "bytes": encoded(made),
        "image": made,
    }[form]
    np.testing.assert_array_equal(painted(bundle(tmp_path, kind()), given)[..., 0], expected(MAP))


@pytest.mark.parametrize("given", [MAP, MAP.astype(np.int64), MAP.astype(np.uint32), IN_COLOURS])
def test_an_array_is_read_by_index_or_colour(tmp_path: Path, given: Option) -> None:
    np.testing.assert_array_equal(painted(bundle(tmp_path, kind()), given)[..., 0], expected(MAP))


@pytest.mark.parametrize("given", [MAP, MAP.astype(np.int64), MAP.astype(">u2"), IN_COLOURS])
def test_a_stored_array_is_read_as_the_array(tmp_path: Path, given: NDArray[np.generic]) -> None:
    (tmp_path / "map.npy").write_bytes(stored(given))
    folder = bundle(tmp_path, kind())
    for source in (tmp_path / "map.npy", stored(given)):
        np.testing.assert_array_equal(painted(folder, source)[..., 0], expected(MAP))


@pytest.mark.parametrize("image", ["index", "colours"])
def test_a_map_is_turned_upright(tmp_path: Path, image: str) -> None:
    made = IMAGES[image]()
    upside_down = 3
    made.getexif()[ExifTags.Base.Orientation] = upside_down
    stream = BytesIO()
    made.save(stream, "PNG", exif=made.getexif())
    np.testing.assert_array_equal(
        painted(bundle(tmp_path, kind()), stream.getvalue())[..., 0], expected(MAP[::-1, ::-1])
    )


def test_without_colours_a_palette_image_gives_its_indices(tmp_path: Path) -> None:
    made = painted(bundle(tmp_path, kind(coloured=False)), in_palette([2, 0, 1]))
    np.testing.assert_array_equal(made[..., 0], expected(np.argsort([2, 0, 1])[MAP]))


@pytest.mark.parametrize("side", [3, 8, 12])
def test_a_map_of_another_size_takes_the_nearest_index(tmp_path: Path, side: int) -> None:
    corners = np.where(np.indices((side, side)).sum(0) < side, 0, 2)
    looked_at = (np.arange(4) + 0.5) * side / 4
    made = painted(bundle(tmp_path, kind()), corners)
    np.testing.assert_array_equal(made[..., 0], expected(corners[np.ix_(looked_at.astype(int), looked_at.astype(int))]))


def test_items_may_have_maps_of_their_own_sizes(tmp_path: Path) -> None:
    with i2i.load(bundle(tmp_path, kind()), device="cpu") as loaded:
        maps: Option = [MAP, 2 - MAP.repeat(2, 0).repeat(2, 1)]
        rows = loaded.run("paint", None, {"labels": maps}, count=2)
    for row, wanted in zip(rows, (MAP, 2 - MAP), strict=True):
        np.testing.assert_array_equal(np.asarray(row["image"])[..., 0], expected(wanted))


def test_unknown_is_one_more_class_where_the_model_has_it(tmp_path: Path) -> None:
    holed = MAP.copy()
    holed[0, 0] = 255
    made = painted(bundle(tmp_path, kind(unknown=True)), holed)
    np.testing.assert_array_equal(made[..., 0], expected(np.where(holed == 255, 3, holed)))


def test_unknown_may_have_a_colour(tmp_path: Path) -> None:
    value = SegmentationInput(name="labels", height=4, width=4, names=NAMES, colours=(*COLOURS, VOID), has_unknown=True)
    holed = np.where(MAP == 2, 3, MAP)
    made = painted(bundle(tmp_path, value), np.array([*COLOURS, VOID], dtype=np.uint8)[holed])
    np.testing.assert_array_equal(made[..., 0], expected(holed))


def neighbours_differ(instances: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixel by pixel, as the paper says it: whether one of the four beside it is of another instance."""
    height, width = instances.shape
    beside = ((-1, 0), (1, 0), (0, -1), (0, 1))
    return np.array(
        [
            [
                any(
                    0 <= y + down < height
                    and 0 <= x + across < width
                    and instances[y, x] != instances[y + down, x + across]
                    for down, across in beside
                )
                for x in range(width)
            ]
            for y in range(height)
        ]
    )


def test_edges_lie_where_instances_meet() -> None:
    generator = np.random.default_rng(0)
    for shape in ((4, 7), (7, 4), (1, 5), (5, 1), (1, 1)):
        instances = generator.integers(0, 3, shape).astype(np.int32)
        np.testing.assert_array_equal(edges_of(instances)[0], neighbours_differ(instances))


def test_edges_are_those_of_the_official_code() -> None:
    """Where four instances meet, of a recording of NVlabs/SPADE at fecacc9: rows and columns 31 to 38 and 40."""
    instances = np.array([[1, *[2] * 9], *[[3, *[0] * 9]] * 7], dtype=np.int32)
    recorded = np.array([*[[1] * 10] * 2, *[[1, 1, *[0] * 8]] * 6], dtype=np.float32)
    np.testing.assert_array_equal(edges_of(instances)[0, :-1, :-1], recorded[:-1, :-1])


def test_edges_are_drawn_at_the_size_of_the_graph(tmp_path: Path) -> None:
    instances = np.array([[33001, 33001, 7, 7], [33001, 33001, 7, 7], [9, 9, 9, 9], [9, 9, 9, 9]])
    large = instances.repeat(3, 0).repeat(3, 1)
    made = painted(with_edges(tmp_path), MAP.repeat(3, 0).repeat(3, 1), "edges", instances=large)
    np.testing.assert_array_equal(made[0], neighbours_differ(instances))


REFUSED = {
    "a class too many": (np.full((4, 4), 3, np.uint8), "has the class 3", "0 to 2"),
    "a class below 0": (np.full((4, 4), -1, np.int8), "has the class -1", "0 to 2"),
    "unknown": (np.full((4, 4), 255, np.uint8), "has the class 255", "0 to 2"),
    "more than 32 bits": (np.full((4, 4), 1 << 32), "numbers from 4294967296", "32 bits"),
    "more than 31 bits": (np.full((4, 4), 1 << 31, np.uint32), "numbers from 2147483648", "32 bits"),
    "a colour of no class": (
        np.full((4, 4, 3), 9, np.uint8),
        "the colour (9, 9, 9) in 16 pixels",
        "(0, 128, 0), 'grass'",
    ),
    "fractions": (np.zeros((4, 4), np.float32), "float32 of shape [4, 4]", "whole numbers"),
    "nothing": (np.zeros((0, 4), np.uint8), "uint8 of shape [0, 4]", "whole numbers"),
    "more channels than colours have": (np.zeros((4, 4, 4), np.uint8), "has 4 channels", "3 for this model"),
    "a channel axis": (np.zeros((4, 4, 1), np.uint8), "of shape [4, 4, 1]", "[height, width]"),
    "a blurred map": (encoded(Image.fromarray(MAP), "JPEG"), "is a JPEG", "without loss"),
    "a damaged array": (stored(MAP)[:-1], "bytes of numbers", "as its header says"),
    "a number": (3.0, "given as float", "a NumPy array"),
    "no image": (b"GIF", "the image of 3 bytes", ""),
    "no file": (Path("none.png"), "none.png does not exist", "an image file"),
    "an empty file": (BAD / "empty.png", "is empty", "an image file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_maps_that_cannot_be_are_refused(tmp_path: Path, case: str) -> None:
    given, found, wanted = REFUSED[case]
    with pytest.raises(ImageError) as caught:
        painted(bundle(tmp_path, kind()), given)
    assert found in caught.value.found
    assert wanted in caught.value.expected


def test_the_index_of_unknown_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has the class 3"):
        painted(bundle(tmp_path, kind(unknown=True)), np.full((4, 4), 3, np.uint8))


def test_an_instance_map_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"'instances' has 4x3 pixels .*\n.*4x4, the size of the label map 'labels'"):
        painted(with_edges(tmp_path), MAP, "edges", instances=MAP[:3])


def test_a_map_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'instances' is missing"):
        painted(with_edges(tmp_path), MAP, "edges")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colours": COLOURS[:2]}, "2 colours for 3 classes"),
        ({"colours": (*COLOURS, VOID)}, "4 colours for 3 classes"),
        ({"colours": (COLOURS[0], COLOURS[1], COLOURS[0])}, r"\(70, 130, 180\) stands for several classes"),
        ({"names": ("a", "b", "a")}, "repeat"),
        ({"height": 65536, "width": 65536}, "a map of more than"),
        ({"names": tuple(map(str, range(256))), "colours": (), "has_unknown": True}, "256 classes, and 255"),
    ],
)
def test_label_maps_that_cannot_be_told_apart_or_held_are_refused(change: dict[str, object], reason: str) -> None:
    plain: dict[str, object] = {"name": "labels", "height": 4, "width": 4, "names": NAMES, "colours": COLOURS}
    with pytest.raises(ValidationError, match=reason):
        SegmentationInput.model_validate(plain | change)


@pytest.mark.parametrize("instances", [{"labels": "image"}, {"height": 8}])
def test_instances_belong_to_a_label_map_of_their_size(instances: dict[str, object]) -> None:
    value = InstancesInput.model_validate(
        {"name": "instances", "labels": "labels", "height": 4, "width": 4} | instances
    )
    with pytest.raises(ValidationError, match="which is no segmentation of"):
        Operation(
            name="paint",
            inputs=(kind(), value),
            outputs=(VectorOutput(name="edges"),),
            steps=(GraphCall(graph="paint", inputs={"e": "instances", "k": "labels"}, outputs={"y": "edges"}),),
        )
