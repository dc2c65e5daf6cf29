"""Images with label maps and instance maps as a data set: what is read, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from i2i_registry.errors import LayoutError
from i2i_runtime.errors import ImageError
from i2i_runtime.image.index_maps import read_index_map
from i2i_toolkit import SegmentedLayout, write_segmented_example
from i2i_toolkit.data.recognition import recognise

PLAIN = SegmentedLayout(classes=4, size=(6, 8), flip=False, instances=True)
PARTS = ("images", "labels", "instances")


def save(path: Path, numbers: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)


def put(root: Path, name: str, labels: NDArray[np.uint8], instances: NDArray[np.generic] | None = None) -> None:
    """An image whose red is its label times 60, with its maps, below train/."""
    colours = np.zeros((*labels.shape, 3), np.uint8)
    colours[..., 0] = np.minimum(labels, 4) * 60
    save(root / "train" / "images" / f"{name}.png", colours)
    save(root / "train" / "labels" / f"{name}.png", labels)
    save(root / "train" / "instances" / f"{name}.png", labels if instances is None else instances)


def quarters() -> NDArray[np.uint8]:
    labels = np.zeros((6, 8), np.uint8)
    labels[:, 4:], labels[3:] = 1, labels[3:] + 2
    labels[3:, 4:] = 3
    return labels


def red(sample: dict[str, torch.Tensor]) -> torch.Tensor:
    return ((sample["image"][0] + 1) / 2 * 255).round().long()


@pytest.mark.parametrize("size", [(16, 16), (16, 32)])  # the second is as wide as a pair of images
def test_the_example_is_what_it_says_and_nothing_else(tmp_path: Path, size: tuple[int, int]) -> None:
    layout = SegmentedLayout(classes=5, size=size, instances=True)
    layout.write_example(tmp_path)
    assert recognise(tmp_path) == {SegmentedLayout}
    source = layout.open(tmp_path, 0)
    assert {name: tuple(t.shape) for name, t in source.draw(0).items()} == {
        "image": (3, *size),
        "labels": size,
        "instances": size,
    }
    assert source.draw(0)["labels"].dtype == torch.int64
    assert source.describe() == {"train": 4, "val": 4, "unreadable": 0}
    assert source.preview(2)["labels"].shape == (2, *size)


@pytest.mark.parametrize(
    "names",
    [
        ("train/images", "train/labels", "train/instances"),
        ("train_img", "train_label", "train_inst"),
        ("images", "labels", "instances"),
    ],
)
def test_the_folders_may_have_the_names_of_the_release(tmp_path: Path, names: tuple[str, str, str]) -> None:
    write_segmented_example(tmp_path / "made", 4, (6, 8), count=1)
    for part, name in zip(PARTS, names, strict=True):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / "train" / part).rename(tmp_path / "set" / name)
    assert recognise(tmp_path / "set") == {SegmentedLayout}
    assert PLAIN.open(tmp_path / "set", 0).describe() == {"train": 1, "unreadable": 0}


def test_image_and_maps_are_resized_cropped_and_mirrored_alike(tmp_path: Path) -> None:
    labels = np.kron(np.random.default_rng(0).integers(0, 4, (6, 8)), np.ones((4, 4))).astype(np.uint8)
    put(tmp_path, "a", labels)
    source = SegmentedLayout(4, size=(5, 5), load_size=(24, 32), instances=True).open(tmp_path, 1)
    samples = [source.draw(position) for position in range(12)]
    for sample in samples:
        assert torch.equal(red(dict(sample)), 60 * sample["labels"])
        assert torch.equal(sample["instances"], sample["labels"])
    assert len({tuple(sample["labels"].flatten().tolist()) for sample in samples}) > 6


def test_about_half_of_the_samples_are_mirrored(tmp_path: Path) -> None:
    put(tmp_path, "a", quarters())
    source = SegmentedLayout(4, size=(6, 8)).open(tmp_path, 0)
    mirrored = sum(int(source.draw(position)["labels"][0, 0]) for position in range(200))
    assert 70 < mirrored < 130


def test_maps_are_resized_by_nearest_neighbour(tmp_path: Path) -> None:
    put(tmp_path, "a", quarters())
    found = SegmentedLayout(4, size=(12, 16), flip=False).open(tmp_path, 0).draw(0)["labels"]
    assert torch.equal(
        found, torch.from_numpy(quarters().astype(np.int64)).repeat_interleave(2, 0).repeat_interleave(2, 1)
    )


def test_a_position_gives_the_same_bits_whatever_was_drawn_before(tmp_path: Path) -> None:
    write_segmented_example(tmp_path, 4, (12, 12))
    layouts = (SegmentedLayout(4, (6, 8), (10, 10)), SegmentedLayout(4, (6, 8), (10, 10), cache_bytes=0))
    first, second = (layout.open(tmp_path, 5) for layout in layouts)
    for position in range(9):
        first.draw(position)
    assert all(torch.equal(tensor, second.draw(4)[name]) for name, tensor in first.draw(4).items())


def test_what_nobody_labelled_is_one_class_more_or_refused(tmp_path: Path) -> None:
    labels = quarters()
    labels[0, 0] = 255
    put(tmp_path, "a", labels)
    assert int(PLAIN.open(tmp_path, 0).draw(0)["labels"][0, 0]) == 4
    with pytest.raises(LayoutError, match=r"a\.png holds the label 255") as caught:
        SegmentedLayout(4, (6, 8), unknown=False).open(tmp_path, 0)
    assert caught.value.expected == "labels from 0 to 3"


def test_instances_may_have_more_than_eight_bits(tmp_path: Path) -> None:
    instances = quarters().astype(np.uint16) * 1000 + 24_000
    put(tmp_path, "a", quarters(), instances)
    found = PLAIN.open(tmp_path, 0).draw(0)["instances"]
    assert torch.equal(found, torch.from_numpy(instances.astype(np.int64)))


def test_a_palette_is_read_as_its_indices(tmp_path: Path) -> None:
    image = Image.fromarray(quarters(), "P")
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 90, 90, 90])
    image.save(tmp_path / "labels.png")
    assert np.array_equal(read_index_map(tmp_path / "labels.png"), quarters())


def test_data_without_instances_is_taken_by_a_model_that_needs_none(tmp_path: Path) -> None:
    put(tmp_path, "a", quarters())
    (tmp_path / "train" / "instances" / "a.png").unlink()
    (tmp_path / "train" / "instances").rmdir()
    assert set(SegmentedLayout(4, (6, 8)).open(tmp_path, 0).draw(0)) == {"image", "labels"}
    with pytest.raises(LayoutError, match="instances is not there"):
        PLAIN.open(tmp_path, 0)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_a_file_without_its_partner_is_named(tmp_path: Path, part: str) -> None:
    for name in ("a", "b"):
        put(tmp_path, name, quarters())
    (tmp_path / "train" / part / "b.png").unlink()
    with pytest.raises(LayoutError, match=r"without a partner \(b\)"):
        PLAIN.open(tmp_path, 0)


@pytest.mark.parametrize("part", ["labels", "instances"])
def test_a_map_of_another_size_is_named(tmp_path: Path, part: str) -> None:
    put(tmp_path, "a", quarters())
    save(tmp_path / "train" / part / "a.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(LayoutError, match=rf"images/a\.png is 8x6 pixels and .*{part}/a\.png is 4x3"):
        PLAIN.open(tmp_path, 0)


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    labels = quarters()
    labels[0, :2] = 9, 17
    put(tmp_path, "a", labels)
    with pytest.raises(LayoutError, match=r"labels/a\.png holds the label 9 and 1 more") as caught:
        PLAIN.open(tmp_path, 0)
    assert caught.value.expected == "labels from 0 to 3, and 255 where it is unknown"


def test_a_map_in_colours_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        put(tmp_path, name, quarters())
    save(tmp_path / "train" / "labels" / "b.png", np.zeros((6, 8, 3), np.uint8))
    with caplog.at_level(logging.WARNING):
        source = PLAIN.open(tmp_path, 0)
    assert source.describe() == {"train": 1, "unreadable": 1}
    assert "is an image of mode RGB" in caplog.text
    save(tmp_path / "train" / "labels" / "a.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(LayoutError, match="holds 2 unreadable images"):
        PLAIN.open(tmp_path, 0)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_map_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "map.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"map\.png"):
        read_index_map(tmp_path / "map.png")
    with pytest.raises(ImageError, match="does not exist"):
        read_index_map(tmp_path / "none.png")


def test_a_map_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    bomb = Path(__file__).parents[2] / "runtime" / "tests" / "data" / "bad" / "bomb_30000x30000_1bit.png"
    with pytest.raises(ImageError, match=r"too many pixels|at most"):
        read_index_map(bomb)


def test_a_map_that_changes_while_training_stops_it(tmp_path: Path) -> None:
    put(tmp_path, "a", quarters())
    source = SegmentedLayout(4, (6, 8), cache_bytes=0).open(tmp_path, 0)
    (tmp_path / "train" / "labels" / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match="could be read when training started"):
        source.draw(0)


def test_another_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    with pytest.raises(LayoutError, match="its folders are trainA"):
        PLAIN.open(tmp_path, 0)
    with pytest.raises(LayoutError, match="does not exist"):
        PLAIN.open(tmp_path / "none", 0)


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than size"):
        SegmentedLayout(4, size=(8, 8), load_size=(8, 6))
