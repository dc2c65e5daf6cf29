"""Images with a table of attributes as a data set: both forms of the table, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i_registry.errors import LayoutError
from i2i_runtime.image.resizing import BILINEAR
from i2i_runtime.records import Record
from i2i_toolkit import AttributesLayout, Preparation
from i2i_toolkit.data.attribute_table import read_attribute_table
from i2i_toolkit.data.recognition import recognise

PLAIN = Preparation("resize_and_crop", load_px=8, crop_px=8, resize=BILINEAR, flip=False)
LAYOUT = AttributesLayout(("Male", "Young"), PLAIN)
CELEBA = "3\nBald Male Young\n000001.jpg  -1  1  1\n000002.jpg   1 -1 -1\n000003.jpg  -1 -1  1\n"
CSV = "file,Bald,Male,Young\n000001.jpg,0,1,1\n000002.jpg,1,0,-1\n000003.jpg,0,0,1\n"


def put(root: Path, table: str, name: str = "list_attr_celeba.txt", count: int = 3) -> Path:
    """The table beside images of one grey each: 10, 20, 30."""
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(table)
    for number in range(1, count + 1):
        Image.new("RGB", (178, 218), (10 * number,) * 3).save(folder / f"{number:06d}.jpg", quality=100)
    return root


def found(source_labels: dict[str, torch.Tensor]) -> tuple[int, list[float]]:
    level = round((float(source_labels["image"].mean()) + 1) / 2 * 255)
    return level, source_labels["attributes"].tolist()


def test_the_example_is_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    LAYOUT.write_example(tmp_path)
    assert recognise(tmp_path) == {AttributesLayout}
    source = LAYOUT.open(tmp_path, 0)
    assert source.describe() == {"images": 8, "held out": 0, "unreadable": 0}
    assert {name: tuple(t.shape) for name, t in source.draw(0).items()} == {"image": (3, 8, 8), "attributes": (2,)}
    assert source.preview(3)["attributes"].tolist() == [[1, 0]] * 3


@pytest.mark.parametrize(("table", "name"), [(CELEBA, "list_attr_celeba.txt"), (CSV, "attributes.CSV")])
def test_both_forms_say_the_same_and_minus_one_is_no(tmp_path: Path, table: str, name: str) -> None:
    source = LAYOUT.open(put(tmp_path, table, name), 0)
    drawn = sorted(found(dict(source.draw(position))) for position in range(3))
    assert drawn == [(10, [1, 1]), (20, [0, 0]), (30, [0, 1])]


def test_labels_are_in_the_order_asked_for(tmp_path: Path) -> None:
    source = AttributesLayout(("Young", "Bald"), PLAIN).open(put(tmp_path, CELEBA), 0)
    assert source.preview(3)["attributes"].tolist() == [[1, 0], [0, 1], [1, 0]]


def test_images_may_lie_beside_the_table_and_a_text_that_is_no_table_too(tmp_path: Path) -> None:
    put(tmp_path / "made", CELEBA)
    for path in (tmp_path / "made" / "img_align_celeba").iterdir():
        path.rename(tmp_path / "made" / path.name)
    (tmp_path / "made" / "img_align_celeba").rmdir()
    (tmp_path / "made" / "README.txt").write_text("where they come from")
    assert LAYOUT.open(tmp_path / "made", 0).describe()["images"] == 3
    assert recognise(tmp_path / "made") == {AttributesLayout}


def test_held_out_images_are_shown_and_never_drawn(tmp_path: Path) -> None:
    source = AttributesLayout(("Male",), PLAIN, held_out=1).open(put(tmp_path, CELEBA), 7)
    drawn = {found(dict(source.draw(position)))[0] for position in range(8)}
    shown = round((float(source.preview(5)["image"].mean()) + 1) / 2 * 255)
    assert drawn | {shown} == {10, 20, 30}
    assert shown not in drawn
    assert source.describe() == {"images": 2, "held out": 1, "unreadable": 0}
    other = AttributesLayout(("Male",), PLAIN, held_out=1).open(tmp_path, 8)
    assert round((float(other.preview(5)["image"].mean()) + 1) / 2 * 255) == shown  # whatever the seed


def test_the_middle_is_cut_out_first(tmp_path: Path) -> None:
    root = put(tmp_path, CELEBA)
    for path in (root / "img_align_celeba").iterdir():
        framed = Image.new("RGB", (178, 218), "red")
        framed.paste((0, 0, 255), (39, 59, 139, 159))
        framed.save(path.with_suffix(".png"))
        path.unlink()
    (root / "list_attr_celeba.txt").write_text(CELEBA.replace("jpg", "png"))
    middle = Preparation("resize_and_crop", load_px=8, crop_px=8, resize=BILINEAR, flip=False, centre_px=100)
    source = AttributesLayout(("Male",), middle).open(root, 0)
    blue = torch.tensor([-1.0, -1.0, 1.0])[:, None, None].expand(3, 8, 8)
    assert torch.equal(source.draw(0)["image"], blue)
    assert torch.equal(source.preview(1)["image"][0], blue)
    too_much = Preparation("resize_and_crop", load_px=8, crop_px=8, resize=BILINEAR, centre_px=179)
    with pytest.raises(LayoutError, match="at least 179x179"):
        AttributesLayout(("Male",), too_much).open(root, 0).draw(0)


class Config(Record):
    attributes: tuple[str, ...] = ("Male",)


def test_a_config_gets_the_names_of_a_table_that_lacks_its_own(tmp_path: Path) -> None:
    root = put(tmp_path, CELEBA)
    assert AttributesLayout.complete(Config(), root) == Config()
    other = AttributesLayout.complete(Config(attributes=("Smiling",)), root)
    assert other == Config(attributes=("Bald", "Male", "Young"))
    own = Config(attributes=("Smiling",))
    assert AttributesLayout.complete(own, root / "img_align_celeba") == own


# --- What is refused --------------------------------------------------------------------------------------------------


def test_an_unknown_attribute_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no attribute 'Yuong'") as caught:
        AttributesLayout(("Yuong",), PLAIN).open(put(tmp_path, CELEBA), 0)
    assert "Young" in caught.value.expected
    assert "--set attributes" in caught.value.fix


def test_a_line_without_an_image_and_the_reverse_are_named(tmp_path: Path) -> None:
    root = put(tmp_path, CELEBA.replace("3\n", "4\n", 1) + "000009.jpg 1 1 1\n", count=3)
    with pytest.raises(LayoutError, match=r"1 lines of list_attr_celeba.txt have no image in .*\(000009.jpg\)"):
        LAYOUT.open(root, 0)
    put(tmp_path / "other", CELEBA, count=5)
    with pytest.raises(LayoutError, match=r"2 images have no line in .*\(000004.jpg, 000005.jpg\)"):
        LAYOUT.open(tmp_path / "other", 0)


def test_an_image_that_cannot_be_read_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = put(tmp_path, CELEBA)
    (root / "img_align_celeba" / "000002.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        source = LAYOUT.open(root, 0)
    assert source.describe() == {"images": 2, "held out": 0, "unreadable": 1}
    assert "000002.jpg" in caplog.text


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("t.txt", "2\nBald\na.jpg 1\n", "says that it has 2 images, and has 1"),
        ("t.txt", "1\nBald Male\na.jpg 1\n", "line 3 of .* has 1 values"),
        ("t.txt", "1\nBald\na.jpg 2\n", "line 3 of .* has the value '2'"),
        ("t.txt", "1\n", "begins with '1'"),
        ("t.txt", "2\nBald\na.jpg 1\na.jpg -1\n", "line 4 of .* is the second for 'a.jpg'"),
        ("t.csv", "", "an attribute without a name, or none"),
        ("t.csv", "file\na.jpg\n", "an attribute without a name, or none"),
        ("t.csv", "file,Bald,Bald\na.jpg,1,0\n", "the attribute 'Bald' twice"),
        ("t.csv", "file,Bald\na.jpg,yes\n", "line 2 of .* has the value 'yes'"),
        ("t.csv", "file,Bald\na.jpg,1,0\n", "line 2 of .* has 2 values"),
        ("t.csv", "file,Bald\n", "names no image"),
        ("t.csv", f"file,Bald\n{'a' * 200_000},1\n", "is not a CSV"),
    ],
)
def test_a_wrong_table_is_told_by_its_line(tmp_path: Path, name: str, table: str, words: str) -> None:
    (tmp_path / name).write_text(table)
    with pytest.raises(LayoutError, match=words):
        read_attribute_table(tmp_path / name)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"file,\xff\xfe\n")
    with pytest.raises(LayoutError, match="is not a text"):
        read_attribute_table(tmp_path / "t.csv")


def test_no_table_two_tables_and_a_table_of_other_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="holds no table"):
        LAYOUT.open(tmp_path, 0)
    root = put(tmp_path / "set", CELEBA)
    (root / "more.csv").write_text(CSV)
    with pytest.raises(LayoutError, match=r"2 tables \(list_attr_celeba.txt, more.csv\)"):
        LAYOUT.open(root, 0)
    (root / "more.csv").unlink()
    (root / "list_attr_celeba.txt").write_text(CELEBA.replace("000001", "../../secret"))
    with pytest.raises(LayoutError, match=r"no folder in .* holds it"):
        LAYOUT.open(root, 0)
    assert AttributesLayout not in recognise(root)
    with pytest.raises(LayoutError, match="is no folder"):
        LAYOUT.open(root / "list_attr_celeba.txt", 0)


def test_holding_out_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="holds 3 images"):
        AttributesLayout(("Male",), PLAIN, held_out=3).open(put(tmp_path, CELEBA), 0)
