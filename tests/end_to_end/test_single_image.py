"""Training on one image and using the result through the command line: what people get wrong, and a stopped run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_runtime.image.reading import read
from i2i_toolkit import write_single_example
from i2i_toolkit.training import session as sittings

from .learned import HEIGHT, TINY, WIDTH, Learned, program, settings

PYRAMIDS = ("consingan", "singan")
"""those that learn scale by scale"""


def train(model: str, data: str | Path, *arguments: str) -> int:
    return program(Path("store"), "train", model, "--data", data, *settings(model), *arguments)


def refused(model: str, data: str | Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says when it refuses, which leaves nothing behind."""
    assert train(model, data, *arguments) == 2
    message = capsys.readouterr().err
    assert_is_in_three_parts(message)
    assert not Path("runs").exists()
    return message


def assert_is_in_three_parts(message: str) -> None:
    assert "Traceback" not in message
    assert all(part in message for part in ("error: ", "expected: ", "fix: "))


def paint(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Noise of this width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return path


def paint_mask(path: Path, size: tuple[int, int], white: tuple[int, int, int, int] | None) -> Path:
    """Black, with a white box."""
    mask = Image.new("L", size)
    if white:
        mask.paste(255, white)
    mask.save(path)
    return path


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fails(learned: Learned, capsys: pytest.CaptureFixture[str], model: str, *arguments: str | Path) -> str:
    """What `run` says when it fails, which writes nothing."""
    assert learned.run(model, *arguments) in {1, 2}
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert not Path("out.png").exists()
    return message


# --- The image ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(TINY))
def test_the_image_itself_is_taken_as_data(model: str, learned: Learned) -> None:
    assert learned.image.is_file()
    assert learned.bundle(model).is_dir()
    assert (learned.folder / model / "weights.safetensors").is_file()


@pytest.mark.parametrize("size", [(3, 3), (1, 1), (400, 3)])
@pytest.mark.parametrize("model", sorted(TINY))
def test_an_image_that_is_too_small_is_refused_with_its_size(
    model: str, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    width, height = size
    message = refused(model, paint(Path("small.png"), size), capsys)
    assert f"{height}x{width} pixels (height x width)" in message or f"{width}x{height} pixels (width" in message
    assert "small.png" in message


@pytest.mark.parametrize("model", sorted(TINY))
def test_two_images_are_refused_by_name(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first.png", "second.png"):
        paint(Path("data", name))

    message = refused(model, "data", capsys)
    assert "2 images (first.png, second.png)" in message
    assert f"give the file itself: {Path('data', 'first.png').resolve()}" in message


@pytest.mark.parametrize("model", sorted(TINY))
def test_a_text_named_png_is_refused_by_name(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("no image", encoding="utf-8")

    assert "text.png is not an image" in refused(model, "text.png", capsys)


@pytest.mark.parametrize("model", sorted(TINY))
def test_nothing_there_is_told(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()

    assert "gone.png does not exist" in refused(model, "gone.png", capsys)
    assert "empty holds no image" in refused(model, "empty", capsys)


def test_whoever_gives_one_image_to_another_model_is_told_of_these(capsys: pytest.CaptureFixture[str]) -> None:
    paint(Path("image.png"))

    assert program(Path("store"), "train", "cyclegan", "--data", "image.png", "--steps", "1") == 2
    message = capsys.readouterr().err
    assert "image.png is a file" in message
    named = message.partition("installed models that learn from one image:")[2]
    assert set(TINY) <= set(named.replace(",", " ").split())


@pytest.mark.parametrize("model", PYRAMIDS)
def test_more_than_the_machine_holds_is_refused_with_an_estimate(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sittings, "usable_memory", lambda: 1_000_000_000)
    image = paint(Path("large.png"), (2000, 400))

    command = ["train", model, "--data", image, "--max-size", "2000", "--device", "cpu", "--threads", "1"]
    assert program(Path("store"), *command) == 2
    message = capsys.readouterr().err
    assert_is_in_three_parts(message)
    assert re.search(r"a training that takes \d+ \w+ and \d+\.\d GB of memory", message)
    assert "at most the 1 GB" in message
    assert "a smaller --max-size" in message
    assert not Path("runs").exists()


# --- What is asked of the result --------------------------------------------------------------------------------------


def test_a_degenerate_homography_is_refused(learned: Learned, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(learned, capsys, "ingan", learned.image, "--left-shift", "0.6", "--right-shift", "0.4")
    assert_is_in_three_parts(message)
    assert "0.6 and 0.4, whose sum is 1" in message


@pytest.mark.parametrize(("size", "words"), [("4x48", "at least 8x8 pixels"), ("41x48", "in multiples of 4")])
def test_a_size_that_ingan_does_not_make_is_refused(
    size: str, words: str, learned: Learned, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(learned, capsys, "ingan", learned.image, "--size", size)
    assert size in message
    assert words in message


@pytest.mark.parametrize("size", ["0x8", "8", "axb", "8x8x8", "-8x8", "1e400x8"])
def test_a_size_that_is_none_is_refused(size: str, learned: Learned, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(learned, capsys, "ingan", learned.image, f"--size={size}")
    assert f"{size!r}: expected height and width in pixels" in message


@pytest.mark.parametrize("model", PYRAMIDS)
def test_a_sample_below_the_receptive_field_is_refused(
    model: str, learned: Learned, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(learned, capsys, model, "--operation", "sample", "--size", "3x3")
    assert_is_in_three_parts(message)
    assert "3x3 pixels (height x width)" in message
    assert re.search(r"at least \d+x\d+ pixels", message)
    assert f"the own size is {HEIGHT}x{WIDTH}" in message


@pytest.mark.parametrize(("operation", "scale"), [("sample", "-1"), ("sample", "30"), ("paint", "0"), ("paint", "30")])
def test_a_start_scale_that_is_not_there_is_refused_with_those_that_are(
    operation: str, scale: str, learned: Learned, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [learned.image] if operation == "paint" else []
    message = fails(learned, capsys, "singan", *inputs, "--operation", operation, f"--start-scale={scale}")
    assert re.search(rf"{scale} is not in the range {int(operation == 'paint')}<=x<=\d+", message)


@pytest.mark.parametrize("scale", ["1.5", "nan", "first"])
def test_a_start_scale_is_a_whole_number(scale: str, learned: Learned, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(learned, capsys, "singan", "--operation", "sample", "--start-scale", scale)
    assert "is not a valid integer range" in message


@pytest.mark.parametrize("operation", ["edit", "harmonize"])
def test_a_mask_of_another_size_is_refused_with_both_sizes(
    operation: str, learned: Learned, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = paint_mask(Path("mask.png"), (WIDTH + 1, HEIGHT), (5, 5, 20, 20))
    message = fails(learned, capsys, "singan", learned.image, "--operation", operation, "--mask", mask)
    assert_is_in_three_parts(message)
    assert f"{WIDTH + 1}x{HEIGHT} pixels" in message
    assert f"{WIDTH}x{HEIGHT}, the size of the image" in message


@pytest.mark.parametrize("operation", ["edit", "harmonize"])
def test_an_empty_mask_is_refused(operation: str, learned: Learned, capsys: pytest.CaptureFixture[str]) -> None:
    mask = paint_mask(Path("mask.png"), (WIDTH, HEIGHT), None)
    message = fails(learned, capsys, "singan", learned.image, "--operation", operation, "--mask", mask)
    assert_is_in_three_parts(message)
    assert "'mask' is black everywhere" in message


def test_a_mask_that_is_no_image_and_one_that_is_not_there_are_refused(
    learned: Learned, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.png").write_text("no image", encoding="utf-8")
    edit = [learned.image, "--operation", "edit"]
    assert "text.png is not an image" in fails(learned, capsys, "singan", *edit, "--mask", "text.png")
    assert "'gone.png' does not exist" in fails(learned, capsys, "singan", *edit, "--mask", "gone.png")
    assert "Missing option '--mask'" in fails(learned, capsys, "singan", *edit)


def test_outside_of_the_mask_the_result_is_the_training_image(learned: Learned) -> None:
    """The case beside those above: a mask that fits is taken, and the corner far from it stays as it was."""
    mask = paint_mask(Path("mask.png"), (WIDTH, HEIGHT), (0, 0, 2, 2))
    assert learned.run("singan", learned.image, "--operation", "harmonize", "--mask", mask) == 0
    found, real = (np.asarray(read(path), dtype=int) for path in ("out.png", learned.image))
    assert found.shape == real.shape
    # The paper's resize cuts off to 8 bits, and the image goes through it twice: up to one level each time.
    assert np.abs(found - real)[-4:, -4:].max() <= 2


# --- A training that is stopped ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", PYRAMIDS)
def test_a_pyramid_that_is_stopped_in_its_first_scale_is_kept_and_sampled(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_single_example(Path("data"), (HEIGHT, WIDTH))
    command = [str(Path(sys.executable).with_name("i2i-registry"))]
    environment = {**os.environ, "I2I_HOME": str(tmp_path / "store"), "OMP_NUM_THREADS": "1"}
    long = {key: 100_000 for key in TINY[model] if key in {"steps_per_scale", "stage_steps"}}
    arguments = ["train", model, "--data", "data/image.png", "--as", "mine", *settings(model, **long)]
    metrics = Path("runs", "mine", "metrics.jsonl")
    with subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") > 2):
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=120)[1]
    assert running.returncode == 128 + signal.SIGINT, said
    assert "i2i-registry train --resume" in said

    assert program(tmp_path / "store", "save", "runs/mine") == 0
    assert "unfinished" in capsys.readouterr().err
    assert program(tmp_path / "store", "run", "mine", "-o", "out.png", "--operation", "sample") == 0
    assert read("out.png").size == (WIDTH, HEIGHT)
