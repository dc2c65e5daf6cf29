"""The whole line with the real plugin and the command line: official checkpoint, weights, bundle, images."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import i2i_runtime as i2i
from i2i_conformance.releases import released
from i2i_plugin_ugatit.config import Config
from i2i_plugin_ugatit.model import UGATIT
from i2i_plugin_ugatit.official import ZNXLWM_FORMAT
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.store import Store
from i2i_runtime.image.reading import read
from i2i_toolkit.data.unpaired import write_unpaired_example

from .learned import Learned

ROOT = Path(__file__).resolve().parents[2]
BAD_IMAGES = ROOT / "core" / "runtime" / "tests" / "data" / "bad"
IMAGE = ROOT / "examples" / "images" / "chelsea.jpg"
TINY = Config(image_size=32, channels=2, res_blocks=1, pooled_style=True)
REFUSED_BY_ITS_SIZE = {"one_by_one.png", "strip_1x4000.png", "strip_4000x1.png"}
"""accepted as files, and smaller than what the network takes: the message names `resize`, which enlarges them"""


def program(home: Path, *arguments: str | Path) -> int:
    """The exit code of `i2i-registry`, run in this process on a store of its own."""
    return run_program([str(argument) for argument in arguments], Session(discover(), Store(home)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tiny U-GAT-IT weights, imported from a checkpoint as the official code saves it."""
    folder = tmp_path_factory.mktemp("line")
    torch.manual_seed(0)
    nested: dict[str, dict[str, torch.Tensor]] = {}
    for key, shape in released(ZNXLWM_FORMAT, UGATIT, TINY).items():
        network, _, inner = key.partition(".")
        nested.setdefault(network, {})[inner] = 0.2 * torch.randn(shape)
    torch.save(nested, folder / "photo2poster_params_latest.pt")
    imported = ["import", "ugatit", folder / "photo2poster_params_latest.pt", "--as", "tiny"]
    assert program(folder / "home", *imported, "--domains", "photo,poster") == 0
    return folder / "home"


@pytest.fixture(scope="module")
def bundle(home: Path) -> Path:
    """Those weights as a bundle."""
    path = home.parent / "tiny-onnx"
    assert program(home, "export", "tiny", "--onnx", "-o", path) == 0
    return path


def test_the_manifest_tells_where_the_bundle_comes_from(bundle: Path) -> None:
    manifest = i2i.read_manifest(bundle)
    assert manifest.model == "ugatit"
    assert "photo2poster_params_latest.pt" in manifest.weights.provenance
    assert manifest.operations[0].steps[0].when == {"domain": "poster"}
    assert 0 < manifest.parity.relative <= manifest.parity.tolerance


def test_verify_measures_again_and_tells_other_weights(
    home: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(home, "verify", bundle, "--against", "tiny") == 0
    checkpoint = home.parent / "photo2poster_params_latest.pt"
    other = torch.load(checkpoint, weights_only=True)  # noqa: TID251 - our own file, written a moment ago
    other["genA2B"]["UpBlock2.11.weight"] += 0.1
    torch.save(other, checkpoint.with_name("other.pt"))
    others = ["import", "ugatit", checkpoint.with_name("other.pt"), "--as", "other", "--domains", "photo,poster"]
    assert program(home, *others) == 0
    assert program(home, "verify", bundle, "--against", "other") == 1
    assert "weights" in capsys.readouterr().err


def test_a_tampered_graph_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    graph = bytearray((copy / "a_to_b.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (copy / "a_to_b.onnx").write_bytes(graph)
    assert program(tmp_path, "run", copy, IMAGE, "-o", tmp_path / "out.png") == 1
    assert not (tmp_path / "out.png").exists()


def link_what_learned_from_one_image(folder: Path, learned: Learned) -> None:
    """`birds-onnx` and `fruit-onnx`: SinGAN and InGAN; and the image, also with something pasted into it."""
    for name, model in (("birds", "singan"), ("fruit", "ingan")):
        (folder / f"{name}-onnx").symlink_to(learned.bundle(model))
    shutil.copy(learned.image, folder / "fruit.png")
    pasted = read(learned.image)
    mask = Image.new("L", pasted.size)
    for drawn, colour in ((pasted, "red"), (mask, "white")):
        drawn.paste(colour, (8, 8, 20, 16))
    pasted.save(folder / "pasted.png")
    mask.save(folder / "mask.png")


def test_the_snippets_for_app_developers_run(
    bundle: Path, exported: Callable[[str], Path], learned: Learned, tmp_path: Path
) -> None:
    (tmp_path / "ugatit-poster-onnx").symlink_to(bundle)
    for name in ("me.jpg", "a.jpg", "b.jpg"):
        shutil.copy(IMAGE, tmp_path / name)
    for weights in ("bicyclegan-landscape", "stargan2-seasons"):
        (tmp_path / f"{weights}-onnx").symlink_to(exported(weights))
    for name in ("map.png", "other.png", "evening.png"):
        shutil.copy(ROOT / "examples" / "landscape" / "map.png", tmp_path / name)
    shutil.copy(ROOT / "examples" / "landscape" / "scene.png", tmp_path)
    link_what_learned_from_one_image(tmp_path, learned)
    page = (ROOT / "docs" / "app-developer.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    code += "\nassert both['attention'].size == both['image'].size and len(many) == 2\n"
    code += "assert (len(eight), len(animation), len(again), alike.size) == (8, 25, 2, (128, 128))\n"
    code += "assert winter.size == dusk.size == (64, 64)\n"
    code += "assert (wide.size, tall.size, changed.size) == ((120, 60), (48, 80), (48, 40))\n"
    code += "assert (len(flickering), longer.size, len(stretching)) == (20, (72, 40), 13)\n"
    code += "assert {frame.size for frame in stretching} == {(96, 80)} and slanted.height == 40\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").is_file()


def test_every_bad_image_behaves_as_its_table_says(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program(tmp_path, "run", bundle, BAD_IMAGES, "-o", out) == 1  # some are refused
    with (BAD_IMAGES / "expected.csv").open(encoding="utf-8", newline="") as table:
        rows = {row["file"]: row["outcome"] for row in csv.DictReader(table)}
    for name, outcome in rows.items():
        if "/" in name or "folder" in name:
            continue
        written = any(path.name.startswith(Path(name).stem + ".") for path in out.iterdir())
        if outcome.startswith("skip") or "skip in a folder scan" in outcome:
            assert not written, f"{name} should not be seen in a folder scan"
        elif outcome == "reject":
            twin = any(other != name and Path(other).stem == Path(name).stem for other in rows)
            assert twin or not written, f"{name} should be refused"
        elif outcome.startswith("accept") and name not in REFUSED_BY_ITS_SIZE:
            assert written, f"{name} should be translated"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "{bundle}", "{image}", "-o", "{out}", "--domain", "postre"], "'poster'"),
        (["run", "{bundle}", "{image}", "-o", "{out}", "--operation", "translat"], "'translate'"),
        (["run", "{bundle}", "{image}", "-o", "{out}", "--domian", "poster"], "--domain"),
        (["run", "{bundle}", "{image}", "-o", "{out}", "--device", "cuda"], "libcuda"),
        (["run", "{bundle}", "missing.png", "-o", "{out}"], "missing.png"),
        (["run", "tyni", "{image}", "-o", "{out}"], "'tiny'"),
        (["export", "tiny", "--onnx", "--size", "33", "-o", "{out}"], "multiples of 4"),
        (["info", "ugatti"], "'ugatit'"),
        (["train", "ugatit", "--data", "{empty}", "--set", "chanels=4"], "'channels'"),
        (["train", "ugatit", "--data", "{empty}"], "trainA"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_what_fits(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has the device that the test asks for in vain")
    (tmp_path / "empty").mkdir()
    places = {"bundle": bundle, "image": IMAGE, "out": tmp_path / "out.png", "empty": tmp_path / "empty"}
    code = program(bundle.parent / "home", *(argument.format_map(places) for argument in arguments))
    message = capsys.readouterr().err
    assert code == 2, message
    assert words in message
    assert "Traceback" not in message
    assert not (tmp_path / "out.png").exists()


def test_a_stranger_trains_interrupts_resumes_exports_and_embeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's story: SIGTERM in the middle of a process that trains, then on to the six-line script."""
    monkeypatch.chdir(tmp_path)
    write_unpaired_example(tmp_path / "data", 32)
    environment = {**os.environ, "I2I_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("i2i-registry"))]
    settings = {"image_size": 32, "channels": 2, "res_blocks": 1, "global_layers": 5, "local_layers": 4}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    train = [
        *command,
        "train",
        "ugatit",
        "--data",
        "data",
        "--as",
        "mine",
        "--steps",
        "80",
        "--threads",
        "1",
        *options,
    ]
    with subprocess.Popen(train, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as running:
        metrics = tmp_path / "runs" / "mine" / "metrics.jsonl"
        while running.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") > 2):
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=120)[1]
    assert running.returncode == 128 + signal.SIGTERM, said
    assert "i2i-registry train --resume" in said
    steps_before = len(metrics.read_text(encoding="utf-8").splitlines())
    assert 0 < steps_before < 80

    assert program(tmp_path / "home", "train", "--resume", "runs/mine") == 0
    logged = [json.loads(line)["step"] for line in metrics.read_text(encoding="utf-8").splitlines()]
    assert logged == sorted(set(logged))
    assert logged[-1] == 80
    assert program(tmp_path / "home", "export", "mine", "--onnx", "-o", "mine-onnx") == 0
    embed = [sys.executable, ROOT / "examples" / "embed.py", "mine-onnx", IMAGE, "out.png"]
    done = subprocess.run(embed, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(IMAGE) as given, Image.open(tmp_path / "out.png") as image:
        assert image.size == given.size
