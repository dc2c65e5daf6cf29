"""The shipped BicycleGAN weights from the command line: many styles of one map, an animation, a style that was read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2i_runtime
from i2i_registry.cli.program import run_program

WEIGHTS = "bicyclegan-landscape"


@pytest.fixture(scope="module")
def bundle(exported: Callable[[str], Path]) -> Path:
    return exported(WEIGHTS)


@pytest.fixture
def sketch(tmp_path: Path) -> Path:
    """A map: sky above a meadow, in the colours of examples/landscape/make_data.py."""
    pixels = np.empty((128, 128, 3), dtype=np.uint8)
    pixels[:64], pixels[64:] = (120, 180, 240), (150, 200, 80)
    path = tmp_path / "map.png"
    Image.fromarray(pixels).save(path)
    return path


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_count_writes_that_many_styles(bundle: Path, sketch: Path, tmp_path: Path) -> None:
    assert (
        run_program(["run", str(bundle), str(sketch), "-o", str(tmp_path / "out"), "--count", "3", "--seed", "5"]) == 0
    )
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["map-1.png", "map-2.png", "map-3.png"]
    with i2i_runtime.load(bundle) as loaded:
        np.testing.assert_array_equal(pixels_of(files[1]), np.asarray(loaded.translate(sketch, seed=6)))
    assert np.abs(pixels_of(files[0]) - pixels_of(files[1])).mean() > 5  # another light, not the same again


def test_an_animation_goes_from_one_seed_to_the_other(bundle: Path, sketch: Path, tmp_path: Path) -> None:
    out = tmp_path / "animation"
    command = ["run", str(bundle), str(sketch), "-o", str(out), "--seed", "1", "--to", "seed=2", "--frames", "4"]
    assert run_program(command) == 0
    frames = [pixels_of(path) for path in sorted(out.iterdir())]
    with i2i_runtime.load(bundle) as loaded:
        for frame, seed in ((frames[0], 1), (frames[3], 2)):
            assert np.abs(frame - np.asarray(loaded.translate(sketch, seed=seed)).astype(int)).max() <= 1
    whole = np.abs(frames[0] - frames[3]).mean()
    assert all(np.abs(one - other).mean() < whole for one, other in pairwise(frames))


def test_a_style_that_was_read_is_an_array_and_paints(bundle: Path, sketch: Path, tmp_path: Path) -> None:
    out = tmp_path / "style.npy"
    assert run_program(["run", str(bundle), str(sketch), "-o", str(out), "--operation", "encode"]) == 0
    style = np.load(out)
    assert style.shape == (8,)
    with i2i_runtime.load(bundle) as loaded:
        ours = np.asarray(loaded.translate(sketch, latent=style)).astype(int)
        theirs = np.asarray(loaded.translate_like(sketch, reference=sketch)).astype(int)
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-o", "animation.avi", "--to", "seed=2"], "ends in '.avi'"),
        (["-o", "animation.gif", "--to", "seed=two"], "a whole number"),
        (["-o", "animation.gif", "--to", "seed"], "NAME=VALUE"),
        (["-o", "animation.gif", "--to", "sed=2"], "did you mean 'seed'"),
        (["-o", "animation.gif", "--to", "seed=2", "--seed", "2"], "the last frame equals the first"),
        (["-o", "animation.gif", "--to", "seed=2", "--count", "2"], "--count beside --to"),
        (["-o", "out.png", "--count", "2"], "the results are several"),
    ],
)
def test_animations_and_counts_that_cannot_be_are_wrong_usage(
    bundle: Path, sketch: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert run_program(["run", str(bundle), str(sketch), *arguments]) == 2
    assert reason in capsys.readouterr().err
