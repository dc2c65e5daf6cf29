"""Images x looks: which image stands where, what is computed once, and what is refused before anything runs."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2i_runtime.device.sessions import Sessions

Cli = Callable[..., int]
Write = Callable[..., Path]
CELL = 64


@pytest.fixture
def styled(toy: ModuleType, tmp_path: Path) -> Path:
    return importlib.import_module("toy_styled").write_styled_bundle(tmp_path / "styled-onnx")


def mixed(level: int, reference: int, sign: int = 1) -> int:
    """The grey that comes out, in closed form: the mean of both in [-1, 1]."""
    image, style = level / 127.5 - 1, reference / 127.5 - 1
    return round(((image + sign * style) / 2 + 1) * 127.5)


def cells(path: Path, rows: int, columns: int) -> list[list[tuple[int, ...]]]:
    """The colour of every cell, found from the lower right corner on: cells of CELL, gaps of 8."""
    sheet = Image.open(path).convert("RGB")
    pitch = CELL + 8
    right, bottom = sheet.width - pitch, sheet.height - pitch
    found: list[list[tuple[int, ...]]] = []
    for row in range(rows):
        line: list[tuple[int, ...]] = []
        for column in range(columns):
            left, top = right - pitch * (columns - 1 - column), bottom - pitch * (rows - 1 - row)
            pixels = np.asarray(sheet.crop((left, top, left + CELL, top + CELL))).reshape(-1, 3)
            assert (pixels == pixels[0]).all(), (row, column)
            line.append(tuple(pixels[0].tolist()))
        found.append(line)
    return found


def grey(level: int) -> tuple[int, int, int]:
    return (level, level, level)


def test_references_head_the_columns_and_images_begin_the_rows(
    cli: Cli, styled: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, first, second = tmp_path / "new" / "sheet.png", image("a.png", 100), image("b.png", 220)
    references = [image("like/1.png", 10), image("like/2.png", 60), image("3.png", 150)]
    like = ["--reference", tmp_path / "like", "--reference", references[2]]
    assert cli("grid", styled, first, second, "-o", out, *like, "--cell-px", CELL) == 0
    assert capsys.readouterr().out == f"{out}\n"
    white = (255, 255, 255)
    assert cells(out, 3, 4) == [
        [white, grey(10), grey(60), grey(150)],
        [grey(100), *(grey(mixed(100, level)) for level in (10, 60, 150))],
        [grey(220), *(grey(mixed(220, level)) for level in (10, 60, 150))],
    ]


def test_each_reference_may_be_of_a_domain_of_its_own(cli: Cli, styled: Path, image: Write, tmp_path: Path) -> None:
    out, reference = tmp_path / "sheet.png", image("r.png", 40)
    twice = ["--reference", reference, "--reference", reference]
    for domains, signs in ((["plus", "minus"], [1, -1]), (["minus"], [-1, -1])):
        chosen = [word for domain in domains for word in ("--domain", domain)]
        assert cli("grid", styled, image("a.png", 100), "-o", out, *twice, *chosen, "--cell-px", CELL) == 0
        assert cells(out, 1, 2) == [[grey(mixed(100, 40, sign)) for sign in signs]]


def test_seeds_are_columns_where_a_latent_chooses_and_every_image_gets_the_same(
    cli: Cli, styled: Path, image: Write, tmp_path: Path
) -> None:
    out, images = tmp_path / "sheet.png", (image("a.png"), image("b.png"))
    assert cli("grid", styled, *images, "-o", out, "--count", 3, "--seed", 5, "--cell-px", CELL) == 0
    first, second = cells(out, 2, 3)
    assert first == second
    for seed, colour in zip((5, 6, 7), first, strict=True):
        assert cli("run", styled, images[0], "-o", tmp_path / "one.png", "--seed", seed) == 0
        assert Image.open(tmp_path / "one.png").getpixel((0, 0)) == colour


def test_a_look_is_computed_once_for_all_images(
    cli: Cli, styled: Path, image: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: Counter[str] = Counter()
    real = Sessions.run

    def counting(self: Sessions, graph: str, feeds: Any, outputs: Any) -> Any:
        runs[graph] += 1
        return real(self, graph, feeds, outputs)

    monkeypatch.setattr(Sessions, "run", counting)
    images = [image(f"in/{n}.png") for n in range(3)]
    like = [word for n in range(2) for word in ("--reference", image(f"{n}.png"))]
    assert cli("grid", styled, *images, "-o", tmp_path / "sheet.html", *like) == 0
    assert runs == {"plus": 2, "mix": 6}


def test_an_image_that_fails_has_the_reason_in_its_cell_and_stops_no_other(
    cli: Cli, styled: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    out = tmp_path / "sheet.html"
    assert cli("grid", styled, broken, image("a.png"), "-o", out, "--count", 2, "--json") == 1
    stdout, stderr = capsys.readouterr()
    assert [each["input"] for each in json.loads(stdout)["failed"]] == [str(broken)]
    assert "broken.png" in stderr
    assert out.read_text().count("<img") == 3
    assert cli("grid", styled, broken, "-o", tmp_path / "none.png") == 1
    assert not (tmp_path / "none.png").exists()


def test_a_size_that_is_refused_stands_in_the_cells_of_that_image_alone(
    cli: Cli, toy: ModuleType, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    native = importlib.import_module("toy_styled").write_styled_bundle(tmp_path / "native", fit="native")
    Image.new("RGB", (20, 8)).save(tmp_path / "wide.png")
    out = tmp_path / "sheet.html"
    assert cli("grid", native, tmp_path / "wide.png", image("a.png"), "-o", out, "--count", 2) == 1
    assert "20" in capsys.readouterr().err
    assert out.read_text().count("<img") == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--operation", "translate_like"], "--reference"),
        (["--reference", "a.png", "--reference", "a.png", *["--domain", "plus"] * 3], "3 values of 'domain'"),
        (["--reference", "a.png", "--domain", "plsu"], "plus"),
        (["--count", "0"], "0"),
        (["--reference", "nothing.png"], "nothing.png"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(  # noqa: PLR0917
    cli: Cli,
    styled: Path,
    image: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    image("a.png")
    assert cli("grid", styled, "a.png", "-o", "sheet.png", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not Path("sheet.png").exists()


def test_inputs_are_never_overwritten(cli: Cli, styled: Path, image: Write, capsys: pytest.CaptureFixture[str]) -> None:
    for out, other in ((image("a.png"), image("b.png")), (image("r.png"), image("a.png"))):
        assert cli("grid", styled, other, image("a.png"), "--reference", image("r.png"), "-o", out) == 2
        assert "is an input" in capsys.readouterr().err


def test_an_operation_that_makes_one_image_of_each_has_no_grid(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("grid", bundle, image("a.png"), "-o", tmp_path / "sheet.png") == 2
    assert "one image of each" in capsys.readouterr().err
