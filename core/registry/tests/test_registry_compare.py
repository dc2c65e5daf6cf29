"""Several models on the same images: what is drawn, what is written, and what is refused before anything runs."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_registry.sheets.html import html_page
from i2i_registry.sheets.sheet import MAX_SIDE, Grid, Row, check_sheet_size, draw_sheet, fitted
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError

Cli = Callable[..., int]
Write = Callable[..., Path]
INPUT, NEGATIVE, WHITE = (200, 200, 200), (55, 55, 55), (255, 255, 255)
"""level 200, and its negative 255 - 200 (test_registry_running has the arithmetic)"""


class Page(HTMLParser):
    """The elements of a page, its texts, and the attributes of its images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        self.addresses += [named[name] for name in ("src", "href", "srcset", "poster", "action") if name in named]
        if tag == "img":
            self.images.append(named)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def other(bundle: Path) -> Path:
    """A second bundle, whose operation has another name."""
    folder = bundle.with_name("sharpener-onnx")
    folder.mkdir()
    for file in bundle.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["operations"][0]["name"] = "enhance"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def damaged(bundle: Path) -> Path:
    """A bundle whose manifest is whole and whose graphs are not those that it lists."""
    folder = bundle.with_name("damaged-onnx")
    folder.mkdir()
    for file in bundle.iterdir():
        (folder / file.name).write_bytes(b"x" if file.suffix == ".onnx" else file.read_bytes())
    return folder


def _colours(sheet: Image.Image, box: tuple[int, int, int, int]) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(sheet.crop(box)).reshape(-1, 3).tolist()))


def _blocks(path: Path) -> list[tuple[int, ...]]:
    """The uniform 64 x 64 blocks of a sheet with cells of 64, row by row: their left, top and grey level."""
    levels = np.asarray(Image.open(path).convert("L"))
    found: list[tuple[int, ...]] = []
    for level in (200, 55):
        where = np.argwhere(levels == level)
        corners = [(y, x) for y, x in where.tolist() if (levels[y : y + 64, x : x + 64] == level).sum() == 64 * 64]
        found += [(y, x, level) for y, x in corners]
    return sorted(found)


def test_a_sheet_has_every_image_in_its_place_centred_in_its_cell() -> None:
    tall, wide = Image.new("RGB", (10, 20), "red"), Image.new("RGB", (40, 10), "blue")
    sheet = draw_sheet(Grid(("a", "b"), (Row("", (tall, wide)), Row("", (None, tall)))), 100)
    # Without row titles: a margin of 8, then columns of 100 and gaps of 8; a header of one line of 18.
    assert sheet.size == (8 + 2 * 108, 26 + 2 * 108)
    assert _colours(sheet, (33, 26, 83, 126)) == {(255, 0, 0)}  # 50 x 100, 25 from the left of its cell
    assert _colours(sheet, (8, 26, 33, 126)) == {WHITE}
    top = 26 + (100 - 25) // 2
    assert _colours(sheet, (116, top, 216, top + 25)) == {(0, 0, 255)}
    assert _colours(sheet, (8, 134, 108, 234)) == {WHITE}
    assert _colours(sheet, (141, 134, 191, 234)) == {(255, 0, 0)}


def test_titles_and_sentences_are_drawn_and_never_leave_their_cell() -> None:
    long = "W" * 5000 + "\n" + "no space " * 900 + "äöü 日本 \x00"
    sheet = draw_sheet(Grid((long, "b"), (Row(long, (long, Image.new("RGB", (8, 8), "blue"))),)), 64)
    left = sheet.width - 64 - 8
    blue = _colours(sheet, (left, sheet.height - 72, left + 64, sheet.height - 8))
    assert blue == {(0, 0, 255)}
    assert _colours(sheet, (left - 8, 0, left, sheet.height)) == {WHITE}  # the gap beside it stays free
    assert len(_colours(sheet, (8, sheet.height - 72, left - 80, sheet.height))) > 1  # the row's title
    assert len(_colours(sheet, (left - 72, sheet.height - 72, left - 8, sheet.height - 8))) > 2  # the sentence


def test_extreme_images_keep_at_least_a_pixel() -> None:
    assert fitted(Image.new("RGB", (5000, 1)), 64).size == (64, 1)
    assert fitted(Image.new("RGB", (1, 1)), 64).size == (64, 64)


def test_a_grid_with_ragged_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Grid(("a", "b"), (Row("x", (None,)),))


def test_every_sheet_that_is_promised_fits() -> None:
    for cell_px in (200, 400):
        rows = next(n for n in range(1000, 0, -1) if _promised(2, n, cell_px))
        highest = Row("W" * 99, (Image.new("RGB", (1, 1)), "W" * 999))
        sheet = draw_sheet(Grid(("W" * 999,) * 2, (highest,) * rows), cell_px)
        assert MAX_SIDE - cell_px - 16 < sheet.height <= MAX_SIDE


def _promised(columns: int, rows: int, cell_px: int) -> bool:
    try:
        check_sheet_size(columns, rows, cell_px)
    except UsageError:
        return False
    return True


def test_models_stand_beside_the_input_in_the_order_they_were_named(  # noqa: PLR0917
    cli: Cli, bundle: Path, other: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "sheet.png"
    names = f"{bundle},{other}"
    code = cli("compare", image("me.png"), "--models", names, "-o", out, "--cell-px", 64, "--set", "style=negative")
    stdout, stderr = capsys.readouterr()
    assert (code, stdout) == (0, f"{out}\n")
    assert "toy-onnx; toy (toy, fp32); translate, style=negative; " in stderr
    assert "sharpener-onnx; toy (toy, fp32); enhance, style=negative; " in stderr
    (_, first, a), (_, second, b), (_, third, c) = _blocks(out)
    assert (a, b, c) == (200, 55, 55)
    assert second - first == third - second == 64 + 8


def test_a_bundle_and_weights_by_name_and_a_folder(  # noqa: PLR0917
    cli: Cli, bundle: Path, store: Store, draft: object, image: Write, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    store.add({"net.conv.weight": torch.ones(3, 3, 1, 1), "net.conv.bias": torch.zeros(3)}, draft)  # pyright: ignore[reportArgumentType] - the fixture's type
    image("in/a.png")
    image("in/deep/b.png", 55)
    out = tmp_path / "in" / "sheet.png"
    arguments = ("compare", tmp_path / "in", "--models", bundle, "--models", "mine", "-o", out, "--cell-px", 64)
    assert cli(*arguments) == 0
    assert [level for *_, level in _blocks(out)] == [200, 55, 55, 55, 200, 200]
    assert cli(*arguments) == 0  # the sheet of the first time is no input of the second
    assert len(_blocks(out)) == 6


def test_a_broken_image_has_its_reason_and_the_others_are_made(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image("in/a.png")
    image("in/c.png")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    out = tmp_path / "sheet.html"
    assert cli("compare", tmp_path / "in", "--models", bundle, "-o", out, "--json") == 1
    stdout, stderr = capsys.readouterr()
    assert stderr.count("b.png is not an image") == 1
    assert "1 of 3 failed" in stderr
    (model,) = json.loads(stdout)["models"]
    assert model["seconds"] > 0
    assert [Path(each["input"]).name for each in model["failed"]] == ["b.png"]
    page = Page(out.read_text("utf-8"))
    assert [image["alt"] for image in page.images] == [
        "a.png, input",
        "a.png, toy-onnx",
        "c.png, input",
        "c.png, toy-onnx",
    ]
    assert sum("b.png is not an image" in text for text in page.texts) == 1


def test_a_damaged_bundle_is_a_column_of_reasons(  # noqa: PLR0917
    cli: Cli, bundle: Path, damaged: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.png"
    models = f"{damaged},{bundle}"
    inputs = (image("a.png"), image("b.png"))
    assert cli("compare", *inputs, "--models", models, "-o", out, "--cell-px", 64) == 1
    stderr = capsys.readouterr().err
    assert "2 of 4 failed" in stderr
    assert stderr.count("error:") == 1
    assert [level for *_, level in _blocks(out)] == [200, 55, 200, 55]


def test_a_comparison_without_any_result_writes_nothing(
    cli: Cli, damaged: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.png"
    assert cli("compare", image("a.png"), "--models", damaged, "-o", out) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "nothing to show" in stderr
    assert not out.exists()


def test_the_page_is_one_file_that_loads_nothing_and_holds_the_right_images(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    assert cli("compare", image("me.png"), "--models", bundle, "-o", out, "--cell-px", 64) == 0
    text = out.read_text("utf-8")
    page = Page(text)
    assert "script" not in page.elements
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:|\son\w+=", text)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert any(re.search(r"^toy \(toy, fp32\)\ntranslate\n.* ms an image$", part, re.MULTILINE) for part in page.texts)
    shown = [Image.open(BytesIO(base64.b64decode(image["src"].partition(",")[2]))) for image in page.images]
    assert [image.size for image in shown] == [(64, 64), (64, 64)]
    # JPEG holds a grey of whole levels exactly: one coefficient a block, at this quality in steps below a level.
    assert [_colours(image.convert("RGB"), (0, 0, 64, 64)) for image in shown] == [{INPUT}, {NEGATIVE}]


def test_names_that_look_like_html_stay_texts(cli: Cli, bundle: Path, image: Write, tmp_path: Path) -> None:
    name = '"><img src=x onerror=alert(1)><script>&amp;.png'
    hostile = bundle.rename(bundle.with_name("<b onclick='x'>"))
    out = tmp_path / "page.html"
    assert cli("compare", image(name), "--models", hostile, "-o", out, "--cell-px", 64) == 0
    page = Page(out.read_text("utf-8"))
    assert not {"script", "b"} & set(page.elements)
    assert [sorted(image) for image in page.images] == [["alt", "height", "src", "width"]] * 2
    assert page.images[1]["alt"] == f"{name}, <b onclick='x'>"
    assert name in page.texts


@pytest.mark.skipif(sys.platform != "linux", reason="names of raw bytes are Linux's")
def test_names_that_are_no_text_can_still_be_written() -> None:
    name = os.fsdecode(b"\xff.png")
    html_page(name, Grid(("input",), (Row(name, (name,)),))).encode("utf-8")
    draw_sheet(Grid((name,), (Row(name, (name,)),)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--models", "{bundle},{other}", "--operation", "translate"), "sharpener-onnx has no operation 'translate'"),
        (("--models", "{bundle},{other}", "--operation", "translate"), "sharpener-onnx: enhance"),
        (("--models", "{bundle},no-such-weights"), "no-such-weights"),
        (("--models", " , "), "no models were named"),
        (("--models", "{bundle}", "--set", "stile=same"), "did you mean 'style'"),
        (("--models", "{bundle}", "--set", "style=sane"), "toy-onnx: style='sane'"),
        (("--models", "{bundle}", "--set", "style=sane"), "did you mean 'same'"),
        (("--models", "{bundle}", "--set", "strength=2"), "from 0 to 1"),
        (("--models", "{bundle}", "--set", "strength=nan"), "from 0 to 1"),
        (("--models", "{bundle}", "--set", "strength=much"), "a number"),
        (("--models", "{bundle}", "--set", "image=x.png"), "no model has an input 'image'"),
        (("--models", "{bundle}", "--set", "style"), "NAME=VALUE"),
        (("--models", "{bundle}", "--set", "style=same", "--set", "style=negative"), "given twice"),
        (("--models", "{bundle}", "--device", "cdua"), "did you mean 'cuda'"),
        (("--models", "{bundle}", "-o", "{folder}/out.gif2"), "ends in '.gif2'"),
        (("--models", "{bundle}", "-o", "{folder}/me.png"), "is an input"),
        (("--models", "{bundle}", "{folder}/nothing.png"), "do not exist"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(  # noqa: PLR0917
    cli: Cli,
    bundle: Path,
    other: Path,
    image: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    source = image("me.png")
    before = source.read_bytes()
    filled = [option.format(bundle=bundle, other=other, folder=tmp_path) for option in options]
    out = tmp_path / "sheet.png"
    assert cli("compare", source, "-o", out, *filled) == 2
    stdout, stderr = capsys.readouterr()
    assert words in stderr
    assert stdout == ""
    assert not out.exists()
    assert source.read_bytes() == before


def test_more_cells_than_an_image_holds_are_refused_before_any_model_runs(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [image(f"in/{index}.png") for index in range(9)]
    assert cli("compare", *inputs, "--models", bundle, "-o", tmp_path / "x.webp", "--cell-px", 2048) == 2
    assert "-o OUT.html" in capsys.readouterr().err


def test_a_reference_image_is_an_input_like_any_other(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _take_a_reference(bundle)
    source, out = image("me.png"), tmp_path / "sheet.png"
    arguments = ("compare", source, "--models", bundle, "-o", out, "--cell-px", 64)
    assert cli(*arguments) == 2
    assert "toy-onnx: the image 'reference' is missing" in capsys.readouterr().err
    reference = image("style.png", 55)
    assert cli(*arguments, "--set", f"reference={reference}") == 0
    # This graph turns what it is given, the reference, into its negative.
    assert [level for *_, level in _blocks(out)] == [200, 200]
    capsys.readouterr()
    assert cli(*arguments[:-4], "-o", reference, "--set", f"reference={reference}") == 2
    assert "is an input" in capsys.readouterr().err


def _take_a_reference(bundle: Path) -> None:
    """Give the bundle's operation a second image, and feed the graphs that one."""
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text())
    operation = manifest["operations"][0]
    operation["inputs"].append({**operation["inputs"][0], "name": "reference"})
    for step in operation["steps"]:
        step["inputs"]["image"] = "reference"
    file.write_text(json.dumps(manifest))
