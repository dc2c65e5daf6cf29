"""One folder of images as a data set."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i_registry.errors import LayoutError
from i2i_runtime.image.resizing import BILINEAR
from i2i_toolkit import FlatLayout, Preparation
from i2i_toolkit.data.recognition import recognise

SQUARE = Preparation("resize_and_crop", load_px=10, crop_px=8, resize=BILINEAR)
PLAIN = Preparation("resize_and_crop", load_px=8, crop_px=8, resize=BILINEAR, flip=False)


def paint(path: Path, level: int = 0, size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)


def level(image: torch.Tensor) -> int:
    return round((float(image.mean()) + 1) / 2 * 255)


def test_the_example_is_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    layout = FlatLayout(SQUARE)
    layout.write_example(tmp_path)
    assert recognise(tmp_path) == {FlatLayout}
    source = layout.open(tmp_path, 0)
    assert source.draw(0)["image"].shape == (3, 8, 8)
    assert source.describe() == {"images": 4, "unreadable": 0}
    assert source.preview(9)["image"].shape == (2, 3, 8, 8)


def test_every_image_comes_once_an_epoch_at_any_depth(tmp_path: Path) -> None:
    for number in range(5):
        paint(tmp_path / ("deep" if number % 2 else ".") / f"{number}.png", 10 * number)
    source = FlatLayout(PLAIN).open(tmp_path, 3)
    epochs = [[level(source.draw(5 * epoch + position)["image"]) for position in range(5)] for epoch in range(3)]
    assert all(sorted(epoch) == [0, 10, 20, 30, 40] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_position_gives_the_same_bits_whatever_was_drawn_before(tmp_path: Path) -> None:
    FlatLayout(SQUARE).write_example(tmp_path)
    first, second = FlatLayout(SQUARE).open(tmp_path, 5), FlatLayout(SQUARE, cache_bytes=0).open(tmp_path, 5)
    for position in range(9):
        first.draw(position)
    assert torch.equal(first.draw(4)["image"], second.draw(4)["image"])


def test_images_of_other_splits_are_shown_and_not_drawn(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "a.png", 10)
    paint(tmp_path / "train" / "b.png", 10)
    paint(tmp_path / "test" / "a.png", 90)
    source = FlatLayout(PLAIN).open(tmp_path, 0)
    assert {level(source.draw(position)["image"]) for position in range(6)} == {10}
    assert level(source.preview(1)["image"]) == 90


def test_grey_samples_have_one_channel(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 77)
    assert FlatLayout(PLAIN, channels=1).open(tmp_path, 0).draw(0)["image"].shape == (1, 8, 8)


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paint(tmp_path / "a.png", 5)
    (tmp_path / "b.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        source = FlatLayout(PLAIN).open(tmp_path, 0)
    assert source.describe() == {"images": 1, "unreadable": 1}
    assert "b.png" in caplog.text


@pytest.mark.parametrize("files", [(), ("a.txt",), ("a.png",)])
def test_a_folder_without_images_is_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LayoutError, match=r"holds (no images|1 unreadable images)"):
        FlatLayout(PLAIN).open(tmp_path, 0)
    with pytest.raises(LayoutError, match="does not exist"):
        FlatLayout(PLAIN).open(tmp_path / "none", 0)


def test_one_image_alone_and_pairs_are_not_flat(tmp_path: Path) -> None:
    paint(tmp_path / "one" / "a.png")
    paint(tmp_path / "pairs" / "train" / "a.png", size=(24, 12))
    paint(tmp_path / "pairs" / "train" / "b.png", size=(24, 12))
    assert FlatLayout not in recognise(tmp_path / "one") | recognise(tmp_path / "pairs")
