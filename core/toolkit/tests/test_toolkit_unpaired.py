"""The unpaired data set: its layout, its order, its augmentation."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from i2i_registry.errors import LayoutError
from i2i_runtime.errors import ImageError
from i2i_runtime.image.resizing import BICUBIC, BILINEAR, Resize
from i2i_toolkit import Draws, Preparation, UnpairedLayout, write_unpaired_example
from i2i_toolkit.data.cache import ImageCache
from i2i_toolkit.data.order import shuffled

SQUARE = Preparation("resize_and_crop", load_px=38, crop_px=8, resize=BICUBIC)
PLAIN = Preparation("resize_and_crop", load_px=8, crop_px=8, resize=BICUBIC, flip=False)

RECORDED = Path(os.environ.get("I2I_PARITY", "../shared/parity")) / "ugatit" / "prepost.safetensors"


def paint(path: Path, colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_unpaired_example(tmp_path / "set", size=16, count=4)
    return tmp_path / "set"


def test_samples_have_the_size_and_range_asked_for(root: Path) -> None:
    sample = UnpairedLayout(SQUARE).open(root, 0).draw(0)

    assert {name: tuple(t.shape) for name, t in sample.items()} == {"A": (3, 8, 8), "B": (3, 8, 8)}
    assert all(float(t.min()) >= -1 and float(t.max()) <= 1 for t in sample.values())


def test_a_position_gives_the_same_bits_whatever_was_drawn_before(root: Path) -> None:
    first, second = UnpairedLayout(SQUARE).open(root, 5), UnpairedLayout(SQUARE, cache_bytes=0).open(root, 5)
    for position in range(9):
        first.draw(position)

    assert all(torch.equal(first.draw(4)[name], second.draw(4)[name]) for name in ("A", "B"))


def test_another_seed_draws_otherwise(root: Path) -> None:
    one, other = (UnpairedLayout(SQUARE).open(root, seed) for seed in (1, 2))

    assert any(not torch.equal(one.draw(p)["A"], other.draw(p)["A"]) for p in range(4))


def test_each_epoch_visits_every_image_once_in_an_order_of_its_own() -> None:
    epochs = [tuple(shuffled(0, "A", 20, 20 * epoch + i) for i in range(20)) for epoch in range(3)]

    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len(set(epochs)) == 3


def test_domains_are_visited_independently() -> None:
    orders = [[shuffled(0, domain, 20, i) for i in range(20)] for domain in ("A", "B")]

    assert orders[0] != orders[1]


def test_without_flip_and_room_to_crop_a_sample_is_the_resized_image(root: Path) -> None:
    for path in sorted((root / "trainA").iterdir())[1:]:
        path.unlink()
    (image,) = (root / "trainA").iterdir()
    source = UnpairedLayout(PLAIN).open(root, 0)

    with Image.open(image) as opened:
        assert torch.equal(source.draw(3)["A"], PLAIN.fitted(opened))


def test_about_half_of_the_images_are_mirrored(tmp_path: Path) -> None:
    for domain in ("A", "B"):
        half = Image.new("RGB", (8, 8), "black")
        half.paste((255, 255, 255), (0, 0, 4, 8))
        (tmp_path / f"train{domain}").mkdir()
        half.save(tmp_path / f"train{domain}" / "half.png")
    source = UnpairedLayout(replace(PLAIN, flip=True)).open(tmp_path, 0)

    mirrored = sum(bool(source.draw(position)["A"][0, 0, 0] < 0) for position in range(200))
    assert 70 < mirrored < 130  # 200 fair coins: four standard deviations are 28


@pytest.mark.parametrize(("flip_first", "levels"), [(True, [180.0, 120.0]), (False, [60.0, 0.0])])
def test_the_mirror_comes_before_the_crop_or_after_it(*, flip_first: bool, levels: list[float]) -> None:
    stripes = Image.new("RGB", (4, 4))
    stripes.putdata([(60 * x, 0, 255) for _ in range(4) for x in range(4)])

    way = Preparation("resize_and_crop", load_px=4, crop_px=2, resize=BICUBIC, flip_first=flip_first)

    tensor = way.cut(way.scaled(stripes), Draws(flip=True, top=1, left=0))

    expected = torch.tensor(levels) / 255 * 2 - 1
    torch.testing.assert_close(tensor[0], expected.expand(2, 2))
    assert torch.equal(tensor[1], torch.full((2, 2), -1.0))
    assert torch.equal(tensor[2], torch.full((2, 2), 1.0))


@pytest.mark.parametrize("resize", [BILINEAR, BICUBIC])
def test_a_mirror_before_the_resize_is_the_mirror_after_it(resize: Resize) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 57, 3), dtype=np.uint8))
    way = Preparation("resize_and_crop", load_px=40, crop_px=40, resize=resize, flip_first=True)

    after = way.cut(way.scaled(noise), Draws(flip=True, top=0, left=0))
    before = way.cut(way.scaled(noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), Draws(flip=False, top=0, left=0))
    assert torch.equal(after, before)


@pytest.mark.skipif(not RECORDED.is_file(), reason="the tensors recorded from the official code are not here")
def test_the_augmentation_is_the_official_one() -> None:
    with safe_open(RECORDED, "pt") as file:
        config = json.loads(file.metadata()["config"])
        image = Image.fromarray(file.get_tensor("input/image").numpy())
        side = config["img_size"]
        way = Preparation("resize_and_crop", side + 30, side, resize=BILINEAR, flip_first=True)
        for index, draws in enumerate(config["draws"]):
            found = way.cut(way.scaled(image), Draws(**draws))
            torch.testing.assert_close(found, file.get_tensor(f"output/train_{index}"), rtol=0, atol=1e-6)


def test_previews_show_test_images_in_order(root: Path) -> None:
    shown = UnpairedLayout(SQUARE).open(root, 0).preview(2)

    with Image.open(root / "testA" / "000.png") as image:
        assert torch.equal(shown["A"][0], PLAIN.fitted(image))
    assert tuple(shown["B"].shape) == (2, 3, 8, 8)


def test_previews_show_training_images_where_there_is_no_test_folder(tmp_path: Path) -> None:
    paint(tmp_path / "trainA" / "a.png")
    paint(tmp_path / "trainB" / "b.png")
    paint(tmp_path / "trainB" / "c.png")

    shown = UnpairedLayout(SQUARE).open(tmp_path, 0).preview(4)
    assert {name: len(t) for name, t in shown.items()} == {"A": 2, "B": 2}


def test_images_of_all_kinds_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("a.JPG", "deep/er/b.png", "c.webp", "d.bmp", "e.tif", "f.ppm", "g.jpeg", "h.tiff"):
        paint(tmp_path / "trainA" / name)
    (tmp_path / "trainA" / "notes.txt").write_text("no image", encoding="utf-8")
    paint(tmp_path / "trainB" / "a.png")

    assert UnpairedLayout(SQUARE).open(tmp_path, 0).describe() == {
        "trainA": 8,
        "trainB": 1,
        "testA": 0,
        "testB": 0,
        "unreadable": 0,
    }


def test_unreadable_images_are_left_out_and_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "trainA" / "broken.png").write_bytes(b"no image at all")
    with caplog.at_level(logging.WARNING):
        source = UnpairedLayout(SQUARE).open(root, 0)

    assert source.describe()["trainA"] == 4
    assert source.describe()["unreadable"] == 1
    assert "broken.png" in caplog.text


def test_a_folder_without_one_readable_image_is_refused(root: Path) -> None:
    for path in (root / "trainB").iterdir():
        path.write_bytes(b"")

    with pytest.raises(LayoutError, match="trainB holds 4 unreadable images"):
        UnpairedLayout(SQUARE).open(root, 0)


def test_an_image_that_vanishes_while_training_is_named(root: Path) -> None:
    source = UnpairedLayout(SQUARE, cache_bytes=0).open(root, 0)
    for path in (root / "trainA").iterdir():
        path.unlink()

    with pytest.raises(ImageError, match="could be read when training started and cannot now"):
        source.draw(0)


@pytest.mark.parametrize(
    ("files", "found", "advice"),
    [
        (["a.png", "b.png"], "2 images", "trainA/"),
        (["trainA/a.png"], "no trainB", "trainB/"),
        (["train/a.png", "test/a.png"], "the folders test, train", "looks like a paired set"),
        (["A/a.png", "B/b.png"], "the folders A, B", "rename"),
        (["inner/trainA/a.png", "inner/trainB/a.png"], "the folders inner", "did you mean --data"),
    ],
)
def test_a_wrong_layout_is_told_from_what_was_found(files: list[str], found: str, advice: str, tmp_path: Path) -> None:
    for name in files:
        paint(tmp_path / name)

    with pytest.raises(LayoutError) as caught:
        UnpairedLayout(SQUARE).open(tmp_path, 0)
    assert found in caught.value.found
    assert "trainA/ and trainB/" in caught.value.expected
    assert advice in caught.value.fix


def test_an_empty_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="holds nothing"):
        UnpairedLayout(SQUARE).open(tmp_path, 0)
    with pytest.raises(LayoutError, match="does not exist"):
        UnpairedLayout(SQUARE).open(tmp_path / "none", 0)
    (tmp_path / "trainA").mkdir()
    (tmp_path / "trainB").mkdir()
    with pytest.raises(LayoutError, match="trainA holds no images"):
        UnpairedLayout(SQUARE).open(tmp_path, 0)


def test_the_cache_keeps_to_its_bound() -> None:
    decoded: list[int] = []

    def decode(key: int) -> tuple[np.ndarray]:
        decoded.append(key)
        return (np.zeros((4, 4, 3), np.uint8),)

    cache: ImageCache[tuple[np.ndarray]] = ImageCache(2 * 3 * 4 * 4)
    for _ in range(3):
        for key in range(4):
            cache.get(key, lambda key=key: decode(key))
    assert decoded == [0, 1, 2, 3, 2, 3, 2, 3]  # two fit, and stay


def test_what_is_no_image_and_why_images_cannot_be_read_is_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "trainA" / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        UnpairedLayout(SQUARE).open(root, 0)
    assert "notes.txt" in caplog.text

    for path in (root / "trainA").iterdir():
        path.unlink()
    Image.fromarray(np.linspace(-1000, 1000, 64, dtype=np.float32).reshape(8, 8)).save(root / "trainA" / "ct.tif")
    with pytest.raises(LayoutError, match=r"1 unreadable images: .*ct\.tif holds values from -1000 to 1000"):
        UnpairedLayout(SQUARE).open(root, 0)


def test_images_that_look_wrong_are_told_once_and_not_in_every_epoch(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in range(7):
        image = Image.new("RGB", (16, 16))
        image.save(root / "trainA" / f"p{index}.png", icc_profile=b"broken" * 40)
    with caplog.at_level(logging.WARNING):
        source = UnpairedLayout(SQUARE, cache_bytes=0).open(root, 0)
        assert caplog.text.count("colour profile") == 5
        assert "2 more images" in caplog.text
        caplog.clear()
        for position in range(20):
            source.draw(position)
        source.preview(4)
    assert caplog.text == ""


def test_six_channels_are_learned_from_as_they_are(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for domain in ("A", "B"):
        (tmp_path / f"train{domain}").mkdir()
        for index in range(2):
            array = generator.integers(0, 256, (8, 8, 6), dtype=np.uint8)
            np.save(tmp_path / f"train{domain}" / f"{index}.npy", array)
    source = UnpairedLayout(PLAIN, channels=(6, 6)).open(tmp_path, 0)
    assert source.draw(0)["A"].shape == (6, 8, 8)
    expected = torch.from_numpy(np.load(tmp_path / "trainA" / "0.npy")).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(source.preview(1)["A"][0], expected, rtol=0, atol=1e-6)
