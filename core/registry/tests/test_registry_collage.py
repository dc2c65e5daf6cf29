"""One image at every pair of scales: where each cell stands, what is in it, and what is refused before it is made."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime as i2i
from i2i_registry.actions.collage import SCALES, plan_collage, read_scales
from i2i_registry.actions.request import Request
from i2i_registry.sheets.collage import MARGIN_PX, draw_collage
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.errors import UsageError

Cli = Callable[..., int]
Capture = pytest.CaptureFixture[str]
WHITE = (255, 255, 255)


@pytest.fixture
def sized(toy: ModuleType, tmp_path: Path) -> Path:
    return importlib.import_module("toy_sized").write_sized_bundle(tmp_path / "sized-onnx")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (21, 43, 3), dtype=np.uint8)).save(path)
    return path


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_every_cell_is_what_run_makes_and_the_middle_is_the_image(
    cli: Cli, sized: Path, photo: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "collage.png"
    assert cli("collage", sized, photo, "-o", out) == 0
    assert capsys.readouterr().out == f"{out}\n"
    sheet = pixels(out)
    heights, widths = (40, 24, 21, 12, 4), (84, 52, 43, 28, 12)  # 0.66 * 43 = 28.38, 0.33 * 43 = 14.19
    seen = np.zeros(sheet.shape[:2], bool)
    with i2i.load(sized, device="cpu", threads=1) as bundle:
        top = left = MARGIN_PX
        for vertical, height in zip(SCALES, heights, strict=True):
            left = MARGIN_PX
            for horizontal, width in zip(SCALES, widths, strict=True):
                made = np.asarray(bundle.retarget(photo, scale=(vertical, horizontal)))
                cell = pixels(photo) if vertical == horizontal == 1 else made
                place = np.s_[top : top + cell.shape[0], left : left + cell.shape[1]]
                np.testing.assert_array_equal(sheet[place], cell)
                seen[place] = True
                left += width + MARGIN_PX
            top += height + MARGIN_PX
    assert sheet.shape == (top, left, 3)
    assert (sheet[~seen] == 255).all()


def test_scales_and_the_operations_own_options_are_chosen(
    cli: Cli, sized: Path, photo: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "collage.webp"
    shift = ["--left-shift", "0.25", "--right-shift", "-0.25"]
    assert cli("collage", sized, photo, "-o", out, "--scales", "0.5,2", *shift, "--json") == 0
    # 43 columns and 11 on either side are 64 or 65 in the frame.
    shown = json.loads(capsys.readouterr().out)
    assert shown["scales"] == [0.5, 2]
    assert [[cell["height"] for cell in row] for row in shown["cells"]] == [[8, 8], [40, 40]]
    with Image.open(out) as made, i2i.load(sized, device="cpu", threads=1) as bundle:
        large = bundle.retarget(photo, scale=2, left_shift=0.25, right_shift=-0.25)
        assert made.size == (shown["cells"][0][0]["width"] + large.width + 3 * MARGIN_PX, 8 + 40 + 3 * MARGIN_PX)


def test_the_image_is_shown_as_the_model_sees_it(cli: Cli, sized: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "collage.png"
    assert cli("collage", sized, photo, "-o", out, "--scales", "1", "--fit", "resize") == 0
    expected = Image.open(photo).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels(out)[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX], np.asarray(expected))


def test_rows_and_columns_are_aligned() -> None:
    cells = [
        [Image.new("RGB", (5, 3), "red"), Image.new("RGB", (2, 4), "green")],
        [Image.new("L", (7, 6), 0), Image.new("RGB", (9, 2), "blue")],
    ]
    sheet = draw_collage(cells)
    assert sheet.size == (7 + 9 + 3 * MARGIN_PX, 4 + 6 + 3 * MARGIN_PX)
    second, below = 2 * MARGIN_PX + 7, 2 * MARGIN_PX + 4
    assert sheet.getpixel((MARGIN_PX, MARGIN_PX)) == (255, 0, 0)
    assert sheet.getpixel((MARGIN_PX + 5, MARGIN_PX)) == WHITE
    assert sheet.getpixel((second, MARGIN_PX + 3)) == (0, 128, 0)
    assert sheet.getpixel((MARGIN_PX + 6, below + 5)) == (0, 0, 0)
    assert sheet.getpixel((second + 8, below + 1)) == (0, 0, 255)
    assert sheet.getpixel((second + 8, below + 2)) == WHITE


def test_scales_in_words() -> None:
    assert read_scales("2, 1.25,1") == (2, 1.25, 1)
    for text in ("", "2,", "1x2", "1,two", "0,1", "-1", "inf", "nan", "1,1.0"):
        with pytest.raises(UsageError, match="with commas between them"):
            read_scales(text)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--scales", "1,none"], "the scales '1,none'"),
        (["--scales", "1,0.1"], "a result of"),
        (["--scales", "200,250"], "a collage of 19372x9472 pixels"),
        (["--scales", "1,100000"], "at most 100,000,000 pixels in all"),
        (["--operation", "sample"], "sample makes no image of another size"),
        (["--operation", "edit", "--mask", "photo.png"], "edit makes no image of another size"),
        (["--left-shift", "2"], "not in the range"),
        (["--size", "8x8"], "No such option"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is(
    *,
    cli: Cli,
    sized: Path,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    words: list[str],
    reason: str,
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        pytest.fail("computed")

    monkeypatch.setattr(Sessions, "run", forbidden)
    monkeypatch.chdir(photo.parent)
    assert cli("collage", sized, photo, "-o", "collage.png", *words) == 2
    stderr = capsys.readouterr().err
    assert reason in " ".join(stderr.split())
    assert "Traceback" not in stderr
    assert not Path("collage.png").exists()


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("collage.gif", "ends in '.gif'"),
        ("collage", "ends in ''"),
        ("folder.png", "is a folder"),
        ("photo.png", "input"),
    ],
)
def test_a_name_that_cannot_be_a_collage_is_refused(
    *, cli: Cli, sized: Path, photo: Path, tmp_path: Path, capsys: Capture, out: str, reason: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    before = photo.read_bytes()
    assert cli("collage", sized, photo, "-o", tmp_path / out) == 2
    assert reason in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_an_image_that_cannot_be_read_is_wrong_usage(cli: Cli, sized: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert cli("collage", sized, tmp_path / "broken.png", "-o", tmp_path / "collage.png") == 2
    assert "broken.png is not an image" in capsys.readouterr().err


def test_a_bundle_without_sizes_says_what_is_needed(cli: Cli, bundle: Path, photo: Path, capsys: Capture) -> None:
    assert cli("collage", bundle, photo, "-o", photo.with_name("collage.png")) == 2
    assert "an operation that takes an image, and a size or a scale" in capsys.readouterr().err


def test_the_plan_has_the_sizes_of_the_cells(sized: Path, photo: Path) -> None:
    (operation,) = (each for each in i2i.read_manifest(sized).operations if each.name == "retarget")
    plan = plan_collage(photo, Request(operation), (1.0, 2.0))
    assert plan.cells == (((21, 43), (20, 84)), ((40, 40), (40, 84)))
