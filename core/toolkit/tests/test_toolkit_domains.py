"""The data set of one folder per domain: its layout, its balance, its augmentation."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.config_values import field_values
from i2i_runtime.records import Record
from i2i_toolkit.data.domains import Crop, DomainsLayout, cropped, draw_crop, write_domains_example

PETS = ("cat", "dog", "wild")
COUNT = 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_domains_example(tmp_path / "set", PETS, size=16, count=COUNT)
    return tmp_path / "set"


def paint(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, level, level)).save(path)


def plain(root: Path, **counts: int) -> Path:
    """Images of one grey each, which tells them apart: 0, 1, ... in the first domain, 50, 51, ... in the second."""
    for domain, (name, count) in enumerate(counts.items()):
        for index in range(count):
            paint(root / name / f"{index}.png", 50 * domain + index)
    return root


def level(image: torch.Tensor) -> int:
    return round((float(image.mean()) + 1) / 2 * 255)


def test_a_sample_has_an_image_and_two_references_of_one_domain(root: Path) -> None:
    sample = DomainsLayout(PETS, 8).open(root, 0).draw(0)
    images = {name: tuple(tensor.shape) for name, tensor in sample.items() if tensor.ndim}
    assert images == dict.fromkeys(("image", "reference", "other_reference"), (3, 8, 8))
    assert all(sample[name].dtype == torch.int64 for name in ("domain", "reference_domain"))


def test_images_belong_to_the_domain_they_come_with(tmp_path: Path) -> None:
    source = DomainsLayout(("dark", "light"), 4).open(plain(tmp_path, dark=3, light=5), 0)
    for sample in map(source.draw, range(40)):
        assert level(sample["image"]) // 50 == int(sample["domain"])
        assert level(sample["reference"]) // 50 == level(sample["other_reference"]) // 50
        assert level(sample["reference"]) // 50 == int(sample["reference_domain"])


def test_labels_follow_the_order_of_the_names_and_not_the_alphabet(tmp_path: Path) -> None:
    source = DomainsLayout(("light", "dark"), 4).open(plain(tmp_path, dark=2, light=2), 0)
    assert all(level(s["image"]) // 50 == 1 - int(s["domain"]) for s in map(source.draw, range(8)))


def test_domains_are_balanced_however_many_images_they_have(tmp_path: Path) -> None:
    source = DomainsLayout(("few", "many"), 4).open(plain(tmp_path, few=2, many=30), 0)
    for part in ("domain", "reference_domain"):
        drawn = [int(source.draw(position)[part]) for position in range(20)]
        assert all(sorted(drawn[start : start + 2]) == [0, 1] for start in range(0, 20, 2))


def test_every_image_of_a_domain_comes_once_an_epoch(tmp_path: Path) -> None:
    source = DomainsLayout(("a", "b"), 4).open(plain(tmp_path, a=5, b=5), 0)
    seen = Counter(level(source.draw(position)["image"]) for position in range(20))
    assert len(seen) == 10
    assert set(seen.values()) == {2}


def test_the_two_references_are_never_the_same_image(tmp_path: Path) -> None:
    source = DomainsLayout(("a", "b"), 4).open(plain(tmp_path, a=2, b=3), 0)
    for sample in map(source.draw, range(30)):
        assert level(sample["reference"]) != level(sample["other_reference"])


def test_a_position_gives_the_same_bits_whatever_was_drawn_before(root: Path) -> None:
    first, second = DomainsLayout(PETS, 8).open(root, 5), DomainsLayout(PETS, 8, cache_bytes=0).open(root, 5)
    for position in range(9):
        first.draw(position)
    again = second.draw(4)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.draw(4).items())


def test_another_seed_draws_otherwise(root: Path) -> None:
    one, other = (DomainsLayout(PETS, 8).open(root, seed) for seed in (1, 2))
    assert any(not torch.equal(one.draw(p)["image"], other.draw(p)["image"]) for p in range(4))


# --- Augmentation -----------------------------------------------------------------------------------------------------


def test_a_random_crop_has_the_area_and_shape_it_may_have() -> None:
    generator = np.random.default_rng(0)
    crops = [draw_crop(generator, 200, 100, probability=1.0, flip=True) for _ in range(300)]
    for crop in crops:
        left, top, right, bottom = crop.box
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 100
    assert {crop.flip for crop in crops} == {True, False}
    square = [draw_crop(generator, 1000, 1000, probability=1.0, flip=False) for _ in range(300)]
    sizes = [(right - left, bottom - top) for left, top, right, bottom in (crop.box for crop in square)]
    assert all(0.799 < across * down / 1e6 <= 1 and 0.89 < across / down < 1.11 for across, down in sizes)


def test_half_of_the_images_are_cropped_at_probability_one_half() -> None:
    generator = np.random.default_rng(1)
    whole = sum(draw_crop(generator, 100, 100, probability=0.5, flip=False).box == (0, 0, 100, 100) for _ in range(400))
    assert 150 < whole < 250


def test_the_crop_is_what_is_seen_and_mirrored() -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:6] = 255
    right_half = cropped(pixels, Crop((4, 0, 8, 4), flip=False), 4)
    assert right_half[0, 0].tolist() == [1, 1, -1, -1]
    assert cropped(pixels, Crop((4, 0, 8, 4), flip=True), 4)[0, 0].tolist() == [-1, -1, 1, 1]


# --- Layout and preview -----------------------------------------------------------------------------------------------


def test_previews_show_each_domain_beside_a_reference_of_the_next(root: Path) -> None:
    batch = DomainsLayout(PETS, 8).open(root, 0).preview(5)
    assert batch["domain"].tolist() == [0, 1, 2, 0, 1]
    assert batch["reference_domain"].tolist() == [1, 2, 0, 1, 2]
    assert batch["image"].shape == batch["reference"].shape == (5, 3, 8, 8)


def test_previews_come_from_the_validation_set_where_there_is_one(tmp_path: Path) -> None:
    plain(tmp_path / "train", a=3, b=3)
    for name in ("a", "b"):
        paint(tmp_path / "val" / name / "0.png", 200)
    batch = DomainsLayout(("a", "b"), 4).open(tmp_path, 0).preview(4)
    assert {level(image) for image in batch["image"]} == {200}


def test_the_folders_may_lie_directly_below_the_root(tmp_path: Path) -> None:
    source = DomainsLayout(("a", "b"), 4).open(plain(tmp_path, a=2, b=4), 0)
    assert source.describe() == {"a": 2, "b": 4, "unreadable": 0}


def test_unreadable_images_are_left_out_and_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "train" / "cat" / "broken.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        source = DomainsLayout(PETS, 8).open(root, 0)
    assert source.describe()["cat"] == COUNT
    assert "broken.png" in caplog.text


@pytest.mark.parametrize(("count", "words"), [(0, "no image"), (1, "one image")])
def test_a_domain_without_a_pair_of_images_is_refused(root: Path, count: int, words: str) -> None:
    for path in sorted((root / "train" / "dog").iterdir())[count:]:
        path.unlink()
    with pytest.raises(LayoutError, match=words) as caught:
        DomainsLayout(PETS, 8).open(root, 0)
    assert "dog" in caught.value.found
    assert "two" in caught.value.expected


def named(fix: str) -> list[str]:
    """The domains that a fix asks for, read as `--set` reads them."""
    (text,) = re.findall(r"--set (.+)", fix)
    (word,) = shlex.split(text)
    return list(cast("tuple[str, ...]", field_values(Named, [word])["domains"]))


class Named(Record):
    domains: tuple[str, ...] = ("a",)


@pytest.mark.parametrize("domains", [("cat", "dog", "wild", "bird"), ("cat", "dog", "lion")])
def test_a_domain_without_a_folder_is_refused_and_the_option_that_is_named_works(
    root: Path, domains: tuple[str, ...]
) -> None:
    with pytest.raises(LayoutError, match="3 folders") as caught:
        DomainsLayout(domains, 8).open(root, 0)
    assert ", ".join(domains) in caught.value.expected
    assert caught.value.fix == "--set domains=cat,dog,wild"
    assert {*PETS} < {*DomainsLayout(tuple(named(caught.value.fix)), 8).open(root, 0).describe()}


@pytest.mark.parametrize("left", [("cat", "wild"), ("wild",), ("wild card, 2",), ("2020",), ("true", "2")])
def test_training_without_a_domain_of_too_few_images_works_as_its_fix_says(
    tmp_path: Path, left: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    plain(tmp_path, **dict.fromkeys(left, 3), dog=1)
    with pytest.raises(LayoutError, match="dog holds one image") as caught:
        DomainsLayout((*left, "dog"), 8).open(tmp_path, 0)

    with caplog.at_level(logging.WARNING):
        source = DomainsLayout(tuple(named(caught.value.fix)), 8).open(tmp_path, 0)

    assert set(source.describe()) == {*left, "unreadable"}
    assert "dog, no domains of the model" in caplog.text
    assert all(int(source.draw(position)["domain"]) < len(left) for position in range(6))


def test_where_no_other_domain_is_left_more_images_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LayoutError) as caught:
        DomainsLayout(("dog",), 8).open(plain(tmp_path, dog=1), 0)
    assert caught.value.fix == "put more images of this domain there"


def test_images_that_are_in_no_folder_are_told(tmp_path: Path) -> None:
    paint(tmp_path / "0.png", 10)
    with pytest.raises(LayoutError, match="1 images beside them"):
        DomainsLayout(("a", "b"), 8).open(tmp_path, 0)


def test_a_root_that_is_not_there_is_refused(root: Path) -> None:
    shutil.rmtree(root)
    with pytest.raises(LayoutError, match="does not exist"):
        DomainsLayout(PETS, 8).open(root, 0)
