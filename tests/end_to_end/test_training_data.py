"""What people bring as training data: the real plugins and the command line take it, or say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.store import Store
from i2i_toolkit import write_paired_example, write_unpaired_example

TINY: Mapping[str, Mapping[str, object]] = {
    "ugatit": {"image_size": 32, "channels": 2, "res_blocks": 1, "global_layers": 5, "local_layers": 4},
    "cyclegan": {"image_size": 16, "channels": 2, "res_blocks": 1, "discriminator_layers": 1, "pool_size": 2},
    "pix2pix": {"generator": "resnet", "image_size": 16, "depth": 1, "channels": 2, "discriminator_layers": 1},
    "bicyclegan": {
        "image_size": 32,
        "levels": 5,
        "channels": 2,
        "encoder_channels": 2,
        "discriminator_layers": 2,
        "discriminator_channels": 2,
    },
}
PAIRED, UNPAIRED = ("bicyclegan", "pix2pix"), ("cyclegan", "ugatit")
MODES = ("RGB", "L", "RGBA", "LA", "P", "1", "I;16")
ODD = (257, 131)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(model: str, data: str, *arguments: str) -> int:
    """The exit code of `i2i-registry train`, for one step of a tiny model."""
    values = [part for key, value in TINY[model].items() for part in ("--set", f"{key}={value}")]
    settings = ["--steps", "1", "--threads", "1", "--device", "cpu", "--sample-every", "0"]
    command = ["train", model, "--data", data, *values, *settings, *arguments]
    return run_program(command, Session(discover(strict=False), Store(Path("store"))))


def refused(model: str, data: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says when it refuses, which leaves nothing behind."""
    assert train(model, data, *arguments) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert not Path("runs").exists()
    return message


def paint(path: Path, mode: str = "RGB", size: tuple[int, int] = ODD) -> None:
    """Noise in one of Pillow's modes; a transparent part where the mode has one, all 16 bits where it has those."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    noise = np.random.default_rng(len(mode)).integers(0, 2**16, (height, width, 4), dtype=np.uint16)
    if mode == "I;16":
        Image.fromarray(noise[..., 0]).save(path)
    else:
        Image.fromarray((noise >> 8).astype(np.uint8), "RGBA").convert(mode).save(path)


# --- What is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(TINY))
def test_images_of_odd_sizes_and_every_mode_are_learned_from(model: str) -> None:
    for mode in MODES:
        name = f"{mode.replace(';', '')}.png"
        for folder in ("A/train", "B/train") if model in PAIRED else ("trainA", "trainB"):
            paint(Path("data", folder, name), mode)

    assert train(model, "data", "--batch-size", "8") == 0
    assert Path("runs", f"{model}-data", "weights.safetensors").is_file()


@pytest.mark.parametrize("model", PAIRED)
def test_pairs_in_one_image_may_be_of_an_odd_height(model: str) -> None:
    for mode in MODES:
        paint(Path("data", "train", f"{mode.replace(';', '')}.png"), mode, size=(2 * ODD[0], ODD[1]))

    assert train(model, "data") == 0


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(TINY))
def test_the_wrong_layout_is_told_with_what_would_fit_and_which_models_would(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if model in PAIRED:
        write_unpaired_example(Path("data"), size=16, count=1)
        there, needed, others = "trainA, trainB", "A/train/ and B/train/", UNPAIRED
    else:
        write_paired_example(Path("data"), size=16, count=1)
        there, needed, others = "test, train", "trainA/ and trainB/", PAIRED

    message = refused(model, "data", capsys)
    assert there in message
    assert needed in message
    named = message.partition("installed models that learn from such a folder:")[2]
    assert set(others) <= set(named.replace(",", " ").split())
    assert model not in named.replace(",", " ").split()


def test_no_model_is_named_for_a_folder_that_fits_none(capsys: pytest.CaptureFixture[str]) -> None:
    paint(Path("data", "photo.png"))
    paint(Path("data", "other.png"))  # one alone would be a data set for some papers

    assert "installed models" not in refused("pix2pix", "data", capsys)


@pytest.mark.parametrize("model", PAIRED)
def test_a_model_whose_layout_is_there_is_not_told_of_others(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        paint(Path("data", "A", name))
        paint(Path("data", "B", name), size=ODD if name == "a.png" else (131, 257))

    message = refused(model, "data", capsys)
    assert f"{Path('A', 'b.png')} is 257x131 pixels" in message
    assert f"{Path('B', 'b.png')} is 131x257" in message
    assert "installed models" not in message


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["A/a.png", "A/b.png", "A/c.png", "B/a.png"], ["3 images in", "and 1 in", "(b, c)", "an unpaired model"]),
        (["A/train/a.png", "B/train/b.png"], ["without a partner (a)", "without a partner (b)"]),
        (["train/a.png"], ["257 pixels wide, which is odd"]),
        (["A/a.png", "A/a.jpg", "B/a.png"], ["have one name"]),
    ],
    ids=["different counts", "other names", "an odd width", "one name twice"],
)
@pytest.mark.parametrize("model", PAIRED)
def test_pairs_that_are_none_are_told_by_file(
    model: str, files: Sequence[str], words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files:
        paint(Path("data", name))

    message = refused(model, "data", capsys)
    assert all(word in message for word in words)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_odd_batch_of_bicyclegan_is_refused_with_its_reason(
    batch_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_paired_example(Path("data"), size=40)

    message = refused("bicyclegan", "data", capsys, "--batch-size", str(batch_size))
    assert f"batch_size={batch_size} is odd" in message
    assert f"use {batch_size + 1}" in message


def test_an_odd_part_of_a_batch_is_refused_before_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    write_paired_example(Path("data"), size=40)

    assert train("bicyclegan", "data", "--accumulate", "2") == 1
    message = capsys.readouterr().err
    assert "with --accumulate" in message
    assert "an even number" in message
