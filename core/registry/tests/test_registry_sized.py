"""`run` and `grid` with sizes, masks, whole numbers and animations, as the options of an operation's inputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image

import i2i_runtime as i2i
from i2i_registry.actions.grid import make_grid, plan_looks
from i2i_registry.actions.request import Request
from i2i_registry.actions.sources import find_sources

Cli = Callable[..., int]
Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def sized(toy: ModuleType, tmp_path: Path) -> Path:
    return importlib.import_module("toy_sized").write_sized_bundle(tmp_path / "sized-onnx")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(1, 256, (16, 20, 3), dtype=np.uint8)).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


# --- Sizes, masks, numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ([], (16, 20)),
        (["--size", "24x8"], (24, 8)),
        (["--scale", "2"], (32, 40)),
        (["--scale", "1x1.5"], (16, 28)),
        (["--scale=0.5x2", "--left-shift", "0.25", "--right-shift", "-0.25"], (8, 60)),
    ],
)
def test_a_result_has_the_size_that_was_typed(
    *, cli: Cli, sized: Path, photo: Path, tmp_path: Path, words: list[str], size: tuple[int, int]
) -> None:
    out = tmp_path / "out.png"
    assert cli("run", sized, photo, "-o", out, *words) == 0
    assert pixels(out).shape[:2] == size


def test_what_starts_from_nothing_has_a_size_and_a_seed(cli: Cli, sized: Path, tmp_path: Path) -> None:
    out = tmp_path / "many"
    words = ["--operation", "sample", "--size", "9x5", "--seed", 3]
    assert cli("run", sized, "-o", out, *words, "--count", 2) == 0
    with i2i.load(sized, device="cpu", threads=1) as bundle:
        expected = bundle.sample(size=(9, 5), seed=3, count=2)
    for number, image in enumerate(expected, 1):
        np.testing.assert_array_equal(pixels(out / f"sample-{number}.png"), np.asarray(image))


def test_a_mask_is_a_path(cli: Cli, sized: Path, photo: Path, tmp_path: Path) -> None:
    painted = np.zeros((16, 20, 3), np.uint8)
    painted[4:8, 6:9] = 255
    mask, out = tmp_path / "mask.png", tmp_path / "out.png"
    Image.fromarray(painted).save(mask)
    assert cli("run", sized, photo, "-o", out, "--operation", "edit", "--mask", mask, "--start-scale", 2) == 0
    np.testing.assert_array_equal(pixels(out), np.where(painted > 0, pixels(photo), 128))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--size", "large"], "'large': expected height and width in pixels: 128x300 in words"),
        (["--size", "24"], "'24': expected height and width"),
        (["--scale", "0"], "'0': expected a factor"),
        (["--scale", "1x"], "'1x': expected a factor"),
        (["--size", "24x8", "--scale", "2"], "size and scale"),
        (["--size", "24x9"], "a result of 24x9 pixels"),
        (["--scale", "0.1"], "a result of 0x0 pixels"),
        (["--size", "30000x30000"], "at most 100,000,000 pixels"),
        (["--grid", "x"], "No such option"),
        (["--left-shift", "0.5", "--right-shift", "0.5"], "a sum between -1 and 1"),
        (["--operation", "edit"], "Missing option '--mask'"),
        (["--operation", "edit", "--mask", "nowhere.png"], "does not exist"),
        (["--operation", "edit", "--mask", "photo.png", "--start-scale", "1.5"], "not a valid integer"),
        (["--operation", "edit", "--mask", "photo.png", "--start-scale", "5"], "not in the range 0<=x<=4"),
        (["--to", "scale=huge"], "scale='huge'"),
        (["--to", "seed=2"], "an animation to another seed"),
        (["--to", "scale=0.1"], "a result of"),
        (["--to", "scale=2", "--to", "size=8x8"], "an animation to another scale and size"),
        (["--to", "grid=1"], "no input 'grid'"),
        (["--to", "scale=2", "--to", "scale=1", "--frames", "2"], "count=2 frames"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    *,
    cli: Cli,
    sized: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    words: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = "animation.gif" if "--to" in words else "out.png"
    assert cli("run", sized, photo, "-o", out, *words) == 2
    stderr = capsys.readouterr().err
    assert reason in " ".join(stderr.split())
    assert "Traceback" not in stderr
    assert not Path(out).exists()


def test_a_mask_of_another_size_is_wrong_usage_with_the_reason(
    *, cli: Cli, sized: Path, photo: Path, image: Write, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.png"
    assert cli("run", sized, photo, "-o", out, "--operation", "edit", "--mask", image("m.png")) == 2
    assert "the mask 'mask' has 8x8 pixels" in capsys.readouterr().err
    assert not out.exists()


def test_the_help_shows_what_an_operation_takes(cli: Cli, sized: Path, capsys: Capture) -> None:
    shown: dict[str, str] = {}
    for name in ("retarget", "sample", "animate", "edit", "paint"):
        assert cli("run", sized, "--operation", name, "--help") == 0
        shown[name] = capsys.readouterr().out.partition("Options:")[2]
    assert "--size HEIGHTxWIDTH" in shown["retarget"]
    assert "default: that of the image" in " ".join(shown["retarget"].split())
    assert "default: 8x12" in " ".join(shown["sample"].split())
    absent = {"retarget": ["--grid"], "sample": ["--noise"], "animate": ["--noise", "--anchor", "--to", "--count"]}
    for name, flags in absent.items():
        assert not [flag for flag in flags if f"{flag} " in shown[name]]
    assert shown["paint"].count("--seed") == 1
    assert "INTEGER RANGE" in shown["edit"]


# --- Animations -------------------------------------------------------------------------------------------------------


def frames_of(path: Path) -> list[np.ndarray]:
    if path.is_dir():
        return [pixels(file) for file in sorted(path.iterdir())]
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]
    with Image.open(path) as animation:
        frames: list[np.ndarray] = []
        for number in range(getattr(animation, "n_frames", 1)):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")))
        return frames


@pytest.mark.parametrize("name", ["walk.gif", "walk.mp4", "walk"])
def test_an_operation_that_walks_is_an_animation(cli: Cli, sized: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    words = ["--operation", "animate", "--frames", 5, "--seed", 3, "--inertia", 0.8]
    assert cli("run", sized, "-o", out, *words) == 0
    frames = frames_of(out)
    assert [frame.shape for frame in frames] == [(8, 12, 3)] * 5
    if name == "walk":  # the others lose a little
        with i2i.load(sized, device="cpu", threads=1) as bundle:
            expected = bundle.animate.frames(count=5, seed=3, inertia=0.8)
        np.testing.assert_array_equal(frames, [np.asarray(frame) for frame in expected])


def test_a_walk_has_the_length_and_pace_of_the_paper(cli: Cli, sized: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.gif"
    assert cli("run", sized, "-o", out, "--operation", "animate") == 0
    with Image.open(out) as animation:
        assert (getattr(animation, "n_frames", 1), animation.info["duration"]) == (100, 100)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--to", "seed=2"], "No such option"),
        (["--anchor", "1"], "No such option"),
        (["photo.png"], "expected: no INPUT"),
    ],
)
def test_a_walk_takes_no_more_than_it_needs(
    *, cli: Cli, sized: Path, tmp_path: Path, capsys: Capture, words: list[str], reason: str
) -> None:
    assert cli("run", sized, *words, "-o", tmp_path / "walk.gif", "--operation", "animate") == 2
    assert reason in capsys.readouterr().err


def test_an_animation_goes_through_the_scales_in_turn_on_one_canvas(
    cli: Cli, sized: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "frames"
    assert cli("run", sized, photo, "-o", out, "--to", "scale=2x1", "--to", "scale=1x2", "--frames", 3) == 0
    frames = frames_of(out)
    assert [frame.shape for frame in frames] == [(32, 40, 3)] * 3
    lit = [(int(f.any(axis=(1, 2)).sum()), int(f.any(axis=(0, 2)).sum())) for f in frames]
    assert lit == [(16, 20), (32, 20), (16, 40)]
    np.testing.assert_array_equal(frames[0][:16, :20], pixels(photo))


def test_an_animation_of_sizes_may_be_a_video(cli: Cli, sized: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "animation.mp4"
    assert cli("run", sized, photo, "-o", out, "--to", "size=24x8", "--frames", 4, "--scale", "0.5") == 0
    assert [frame.shape for frame in frames_of(out)] == [(24, 8, 3)] * 4


# --- Grids ------------------------------------------------------------------------------------------------------------


def test_seeds_of_noise_are_columns_of_a_grid(cli: Cli, sized: Path, image: Write, tmp_path: Path) -> None:
    """Every image gets the noise that `run` draws from the seed."""
    out, paths = tmp_path / "sheet.html", [image("a.png", 128), image("b.png", 90)]
    assert cli("grid", sized, *paths, "-o", out, "--operation", "paint", "--count", 2, "--seed", 4) == 0
    assert out.read_text().count("<img") == 6
    with i2i.load(sized, device="cpu", threads=1) as bundle:
        looks = plan_looks(Request(bundle.operations["paint"], seed=4), 2, tmp_path, print)
        made = make_grid(bundle, find_sources(paths, out, print), looks, 8)
        for seed, column in zip((4, 5), made.columns[1:], strict=True):
            for path, cell in zip(paths, column.cells, strict=True):
                np.testing.assert_array_equal(np.asarray(cell.result), np.asarray(bundle.paint(path, seed=seed)))


def test_an_operation_of_one_result_makes_no_grid(cli: Cli, sized: Path, photo: Path, tmp_path: Path) -> None:
    assert cli("grid", sized, photo, "-o", tmp_path / "g.png", "--operation", "edit", "--mask", photo) == 2
