"""One image as a data set: what counts as one, what is refused, and which layout it is told to be."""

from __future__ import annotations

import csv
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import i2i_toolkit as toolkit
from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataSource
from i2i_toolkit import (
    DomainsLayout,
    LearnedSize,
    PairedLayout,
    SingleImage,
    SingleImageLayout,
    SingleImageOptions,
    UnpairedLayout,
    find_image,
    image_size,
    write_single_example,
)
from i2i_toolkit.data import single
from i2i_toolkit.data.domains import write_domains_example
from i2i_toolkit.data.recognition import recognise

BAD = Path(__file__).parents[2] / "runtime" / "tests" / "data" / "bad"


def paint(path: Path, size: tuple[int, int] = (12, 9), colour: tuple[int, int, int] = (10, 200, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def refused(root: Path) -> LayoutError:
    """The error of each of the three ways to open `root`; it must be one and the same, and complete."""
    errors: list[LayoutError] = []
    for opened in (SingleImage, image_size):
        with pytest.raises(LayoutError) as caught:
            opened(root)
        errors.append(caught.value)
    first, second = errors
    assert (first.found, first.expected, first.fix) == (second.found, second.expected, second.fix)
    assert first.expected
    assert first.fix
    assert SingleImageLayout not in recognise(root)
    return first


# --- What is taken ----------------------------------------------------------------------------------------------------


def test_every_level_of_eight_bits_becomes_the_value_of_the_paper(tmp_path: Path) -> None:
    ramp = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=-1)
    ramp[..., 1] = ramp[..., 0].T
    Image.fromarray(ramp).save(tmp_path / "ramp.png")

    image = SingleImage(tmp_path / "ramp.png").draw(0)["image"]
    # SinGAN's reading: x / 255 in float64, cast to float32, then (x - 0.5) * 2.
    expected = ((ramp / 255).astype(np.float32) - np.float32(0.5)) * np.float32(2)
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.from_numpy(expected.transpose(2, 0, 1).copy()))
    assert image.is_contiguous()
    assert (float(image.min()), float(image.max())) == (-1, 1)


def test_every_position_and_the_preview_show_the_whole_image(tmp_path: Path) -> None:
    source = SingleImage(paint(tmp_path / "a.png", size=(31, 17)))

    first = source.draw(0)["image"]
    assert first.shape == (3, 17, 31)
    assert all(torch.equal(source.draw(position)["image"], first) for position in (1, 2, 10**12))
    for count in (1, 4):
        assert torch.equal(source.preview(count)["image"], first[None])
    assert source.describe() == {"images": 1}
    assert isinstance(source, DataSource)


def test_what_is_drawn_stays_when_the_file_goes(tmp_path: Path) -> None:
    image = paint(tmp_path / "a.png")
    source = SingleImage(image)
    before = source.draw(0)["image"].clone()
    image.unlink()
    assert torch.equal(source.draw(1)["image"], before)


def test_a_folder_with_one_image_is_that_image(tmp_path: Path) -> None:
    image = paint(tmp_path / "set" / "a.PNG")
    (tmp_path / "set" / "notes.txt").write_text("taken in May")
    (tmp_path / "set" / ".hidden.png").write_bytes(b"")
    (tmp_path / "set" / "empty").mkdir()

    assert find_image(tmp_path / "set") == image
    assert SingleImage(tmp_path / "set").path == image
    assert torch.equal(SingleImage(tmp_path / "set").draw(0)["image"], SingleImage(image).draw(0)["image"])
    assert recognise(tmp_path / "set") == {SingleImageLayout}


def test_an_image_that_is_turned_by_exif_is_learned_from_upright() -> None:
    upright = SingleImage(BAD / "progressive.jpg").draw(0)["image"]
    turned = SingleImage(BAD / "exif_orientation_6.jpg").draw(0)["image"]

    assert image_size(BAD / "exif_orientation_6.jpg") == (72, 96)
    assert turned.shape == upright.shape == (3, 72, 96)
    assert float((turned - upright).abs().mean()) < 0.05  # both are JPEG: equal but for compression


def test_the_size_follows_a_file_that_changes(tmp_path: Path) -> None:
    image = paint(tmp_path / "a.png", size=(12, 9))
    assert image_size(tmp_path) == (9, 12)
    paint(image, size=(40, 30))
    os.utime(image, ns=(1, 1))
    assert image_size(tmp_path) == image_size(image) == (30, 40)


def decode_again(_path: Path) -> Image.Image:
    pytest.fail("decoded again")


def test_the_size_is_not_decoded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = paint(tmp_path / "a.png")
    expected = image_size(image)
    monkeypatch.setattr(single, "read", decode_again)
    assert image_size(tmp_path) == image_size(image) == expected


def test_a_relative_path_is_found_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for side in (8, 16):
        paint(tmp_path / str(side) / "a.png", size=(side, side))
        monkeypatch.chdir(tmp_path / str(side))
        assert image_size(Path("a.png")) == image_size(Path()) == (side, side)


def rows(outcome: str) -> list[tuple[str, str]]:
    with (BAD / "expected.csv").open(encoding="utf-8", newline="") as table:
        return [
            (row["file"], row["upright_size"]) for row in csv.DictReader(table) if row["outcome"].startswith(outcome)
        ]


@pytest.mark.parametrize(("name", "size"), rows("accept"))
def test_odd_files_are_images_of_the_size_a_person_sees(name: str, size: str) -> None:
    width, height = map(int, size.split("x"))
    assert image_size(BAD / name) == (height, width)
    assert SingleImage(BAD / name).draw(0)["image"].shape == (3, height, width)
    assert recognise(BAD / name) == {SingleImageLayout}


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "_size"), rows("reject"))
def test_files_that_are_no_whole_image_are_refused_by_name(name: str, _size: str) -> None:
    error = refused(BAD / name)
    assert name in error.found
    assert "save it again" in error.fix


def test_nothing_there_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path / "missing.png")
    assert "missing.png does not exist" in error.found


def test_what_is_neither_a_file_nor_a_folder_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.png").found


@pytest.mark.parametrize("name", ["", "empty_folder"])
def test_a_folder_without_an_image_is_told(name: str, tmp_path: Path) -> None:
    root = BAD / name if name else tmp_path
    error = refused(root)
    assert "holds no image" in error.found
    assert "when it is given itself" in error.fix


def test_several_images_are_named_with_the_advice_to_give_one(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    for name in ("a.png", "b.png", "c.png", "d.png"):
        paint(folder / name)
    error = refused(folder)
    assert "holds 4 images (a.png, b.png, c.png, ...)" in error.found
    (path,) = shlex.split(error.fix.removeprefix("give the file itself: "))
    assert SingleImage(Path(path)).describe() == {"images": 1}


def test_a_second_image_in_a_folder_below_counts_too(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    paint(tmp_path / "masks" / "a.png")
    assert "holds 2 images" in refused(tmp_path).found


def test_a_damaged_second_image_is_not_passed_over(tmp_path: Path) -> None:
    """Which of the two was meant cannot be told: the damaged one may be the one that matters."""
    paint(tmp_path / "mask.png")
    (tmp_path / "photo.jpg").write_bytes(b"half of a download")
    assert "mask.png, photo.jpg" in refused(tmp_path).found


def test_an_image_further_down_is_named_and_not_taken(tmp_path: Path) -> None:
    image = paint(tmp_path / "deep" / "er" / "a.png")
    error = refused(tmp_path)
    assert str(Path("deep", "er", "a.png")) in error.found
    assert str(image) in error.fix


# --- Which layout it is -----------------------------------------------------------------------------------------------


def test_a_pair_side_by_side_is_one_image_by_itself_and_a_pair_below_train(tmp_path: Path) -> None:
    paint(tmp_path / "alone" / "a.png", size=(24, 12))
    paint(tmp_path / "set" / "train" / "a.png", size=(24, 12))

    assert recognise(tmp_path / "alone") == {SingleImageLayout}
    assert recognise(tmp_path / "set" / "train" / "a.png") == {SingleImageLayout}
    assert recognise(tmp_path / "set") == {PairedLayout}


def test_the_other_layouts_are_not_single(tmp_path: Path) -> None:
    toolkit.write_paired_example(tmp_path / "paired", size=16, count=1)
    toolkit.write_unpaired_example(tmp_path / "unpaired", size=16, count=1)
    write_domains_example(tmp_path / "domains", ("cat", "dog"), size=16, count=2)
    write_single_example(tmp_path / "single", (16, 20))

    for folder, layout in (("paired", PairedLayout), ("unpaired", UnpairedLayout), ("domains", DomainsLayout)):
        assert recognise(tmp_path / folder) == {layout}
    assert recognise(tmp_path / "single") == {SingleImageLayout}


def test_pairs_with_an_image_beside_their_folders_are_pairs(tmp_path: Path) -> None:
    toolkit.write_paired_example(tmp_path, size=16, count=1)
    paint(tmp_path / "overview.png")
    assert recognise(tmp_path) == {PairedLayout}


@pytest.mark.parametrize("size", [(32, 48), (1, 1), (3, 200), (250, 250)])
def test_the_example_has_the_size_asked_for_and_is_the_same_every_time(size: tuple[int, int], tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_single_example(tmp_path / folder, size)
    assert image_size(tmp_path / "one") == size
    one, other = (SingleImage(tmp_path / folder).draw(0)["image"] for folder in ("one", "other"))
    assert torch.equal(one, other)
    if min(size) > 16:
        assert all(len(channel.unique()) > 8 for channel in one)
        assert float(one.min()) < -0.5
        assert float(one.max()) > 0.5


# --- The size at which it is learned ----------------------------------------------------------------------------------


def test_an_image_is_learned_no_larger_than_asked_for(tmp_path: Path) -> None:
    write_single_example(tmp_path, (40, 61))
    learned = LearnedSize(SingleImageOptions(max_size=50).reduced, least=33)
    assert learned.of(tmp_path) == (33, 50)  # 32.8 pixels, rounded up
    assert LearnedSize(SingleImageOptions().reduced, least=33).of(tmp_path) == (40, 61)


def test_where_there_is_no_image_no_size_is_learned(tmp_path: Path) -> None:
    assert LearnedSize(SingleImageOptions().reduced, least=1).of(tmp_path) is None


def test_an_image_too_small_to_learn_from_is_refused_with_what_helps(tmp_path: Path) -> None:
    write_single_example(tmp_path, (20, 90))
    options = SingleImageOptions(max_size=45)
    layout = SingleImageLayout((20, 90), LearnedSize(options.reduced, least=16, field="coarsest"))
    with pytest.raises(LayoutError) as caught:
        layout.open(tmp_path, seed=0)
    assert "20x90 pixels (height x width), and is learned at 10x45" in caught.value.found
    assert caught.value.expected == "at least 16 on the shorter side, which is the coarsest"
    assert all(part in caught.value.fix for part in ("larger image", "--max-size", "--set coarsest="))
    small = SingleImageLayout((20, 90), LearnedSize(SingleImageOptions().reduced, least=21))
    with pytest.raises(LayoutError) as caught:
        small.open(tmp_path, seed=0)
    assert caught.value.fix == "take a larger image"
