"""The paired data set: its layouts, what it refuses, and that both images of a pair are treated alike."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i_registry.errors import LayoutError
from i2i_runtime.image.resizing import BICUBIC
from i2i_toolkit.data.paired import PairedLayout, write_paired_example
from i2i_toolkit.data.paired_layout import PairFiles, find_pairs
from i2i_toolkit.data.preparation import Preparation
from i2i_toolkit.data.unpaired import UnpairedLayout, write_unpaired_example

SQUARE = Preparation("resize_and_crop", load_px=10, crop_px=8, resize=BICUBIC)


def paint(path: Path, size: tuple[int, int] = (16, 8), colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def join(path: Path, left: str, right: str, size: int = 8) -> None:
    image = Image.new("RGB", (2 * size, size), left)
    image.paste(Image.new("RGB", (size, size), right), (size, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def gradient(path: Path, size: int = 24) -> None:
    """Both halves show the same image, in which every pixel differs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = Image.linear_gradient("L").resize((size, size)).convert("RGB")
    half.paste(Image.linear_gradient("L").rotate(90).resize((size, size // 2)).convert("RGB"), (0, 0))
    image = Image.new("RGB", (2 * size, size))
    image.paste(half, (0, 0))
    image.paste(half, (size, 0))
    image.save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_paired_example(tmp_path / "set", size=16, count=5)
    return tmp_path / "set"


def test_the_left_half_is_the_input_unless_the_direction_is_turned(tmp_path: Path) -> None:
    join(tmp_path / "train" / "0.png", left="black", right="white")

    forth = PairedLayout(SQUARE).open(tmp_path, 0).draw(0)
    back = PairedLayout(SQUARE, direction="b_to_a").open(tmp_path, 0).draw(0)

    assert (float(forth["input"].max()), float(forth["target"].min())) == (-1.0, 1.0)
    assert (float(back["input"].min()), float(back["target"].max())) == (1.0, -1.0)


@pytest.mark.parametrize("folders", [("A/train", "B/train"), ("train/A", "train/B"), ("A", "B")])
def test_two_folders_are_paired_by_name_whatever_the_extension(tmp_path: Path, folders: tuple[str, str]) -> None:
    for name in ("one", "two"):
        paint(tmp_path / folders[0] / f"{name}.png")
        paint(tmp_path / folders[1] / f"{name}.jpg")

    assert find_pairs(tmp_path)["train"] == tuple(
        PairFiles(tmp_path / folders[0] / f"{name}.png", tmp_path / folders[1] / f"{name}.jpg")
        for name in ("one", "two")
    )


def test_other_splits_are_found_and_shown_but_not_drawn(tmp_path: Path) -> None:
    join(tmp_path / "train" / "0.png", left="black", right="black")
    join(tmp_path / "val" / "0.png", left="white", right="white")
    join(tmp_path / "test" / "0.png", left="red", right="red")
    pairs = PairedLayout(SQUARE).open(tmp_path, 0)

    assert pairs.describe() == {"train": 1, "val": 1, "test": 1, "unreadable": 0}
    assert float(pairs.preview(3)["input"].min()) == 1.0
    assert all(float(pairs.draw(position)["input"].max()) == -1.0 for position in range(4))


def test_both_images_of_a_pair_share_crop_and_flip(tmp_path: Path) -> None:
    gradient(tmp_path / "train" / "0.png")
    pairs = PairedLayout(Preparation("resize_and_crop", load_px=20, crop_px=8, resize=BICUBIC)).open(tmp_path, 0)
    drawn = [pairs.draw(position) for position in range(6)]

    assert all(torch.equal(sample["input"], sample["target"]) for sample in drawn)
    assert any(not torch.equal(drawn[0]["input"], sample["input"]) for sample in drawn[1:])


def test_a_position_gives_the_same_bits_whatever_was_drawn_before(root: Path) -> None:
    first, second = PairedLayout(SQUARE).open(root, 5), PairedLayout(SQUARE, cache_bytes=0).open(root, 5)
    for position in range(7):
        first.draw(position)

    assert all(torch.equal(first.draw(3)[name], second.draw(3)[name]) for name in ("input", "target"))


def test_grey_is_one_channel(root: Path) -> None:
    pairs = PairedLayout(SQUARE, input_channels=1).open(root, 0)

    assert pairs.draw(0)["input"].shape == (1, 8, 8)
    assert pairs.draw(0)["target"].shape == (3, 8, 8)
    assert pairs.preview(2)["input"].shape == (2, 1, 8, 8)


def test_a_pair_that_cannot_be_read_is_left_out_with_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "train" / "000.png").write_bytes(b"no image")

    with caplog.at_level(logging.WARNING):
        pairs = PairedLayout(SQUARE).open(root, 0)

    assert pairs.describe()["unreadable"] == 1
    assert "000.png" in caplog.text


def test_an_unpaired_set_is_refused_and_what_fits_is_named(tmp_path: Path) -> None:
    write_unpaired_example(tmp_path, size=8, count=1)

    with pytest.raises(LayoutError, match="unpaired model"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_a_paired_set_is_refused_by_an_unpaired_model(root: Path) -> None:
    with pytest.raises(LayoutError, match="paired set"):
        UnpairedLayout(SQUARE).open(root, 0)


def test_single_images_are_not_taken_for_pairs(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "0.png", size=(8, 8))

    with pytest.raises(LayoutError, match="looks like one image"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_an_odd_width_is_refused(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "0.png", size=(17, 8))

    with pytest.raises(LayoutError, match="odd"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_images_without_a_partner_are_counted_and_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        paint(tmp_path / "A" / f"{name}.png")
    paint(tmp_path / "B" / "a.png")

    with pytest.raises(LayoutError, match=r"3 images in .* and 1 in .*2 in .* without a partner \(b, c\)"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder, extension in (("A", "png"), ("A", "jpg"), ("B", "png")):
        paint(tmp_path / folder / f"a.{extension}")

    with pytest.raises(LayoutError, match="have one name"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_a_pair_of_two_sizes_is_refused(tmp_path: Path) -> None:
    paint(tmp_path / "A" / "a.png", size=(8, 8))
    paint(tmp_path / "B" / "a.png", size=(8, 9))

    with pytest.raises(LayoutError, match=r"8x8 pixels and .* 8x9"):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_an_image_smaller_than_the_crop_is_refused(tmp_path: Path) -> None:
    join(tmp_path / "train" / "0.png", left="black", right="white", size=8)

    with pytest.raises(LayoutError, match="8x8 pixels in the mode 'crop'"):
        PairedLayout(Preparation("crop", load_px=0, crop_px=12, resize=BICUBIC)).open(tmp_path, 0)


@pytest.mark.parametrize("folder", ["elsewhere", "train"])
def test_a_folder_without_pairs_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()

    with pytest.raises(LayoutError):
        PairedLayout(SQUARE).open(tmp_path, 0)


def test_the_folder_above_is_told_where_the_set_is(root: Path) -> None:
    with pytest.raises(LayoutError, match=f"did you mean --data {root}"):
        PairedLayout(SQUARE).open(root.parent, 0)


def test_scaled_sizes_are_those_of_the_releases() -> None:
    def size(mode: str, load_px: int, crop_px: int) -> tuple[int, int]:
        return Preparation(mode, load_px, crop_px, BICUBIC).scaled_size(30, 45)  # pyright: ignore[reportArgumentType]

    assert size("resize_and_crop", 40, 32) == (40, 40)
    assert size("crop", 40, 32) == (30, 45)
    assert size("scale_width", 20, 16) == (20, 30)
    assert size("scale_width", 10, 16) == (10, 16)  # the height is at least the crop's
    assert size("scale_width", 30, 16) == (30, 45)
    assert size("none", 0, 0) == (32, 44)  # 7.5 and 11.25 fours: half to even, then down
