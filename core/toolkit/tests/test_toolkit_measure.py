"""`i2i-registry measure` and the network of features that a user brings."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.cards import CommandCard
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.store import Store
from i2i_runtime.device import providers as devices
from i2i_runtime.errors import DeviceError, ImageError, UsageError
from i2i_toolkit import plugin
from i2i_toolkit.metrics.feature_network import FeatureNetwork
from i2i_toolkit.metrics.measuring import measure_samples
from i2i_toolkit.metrics.single_image import diversity, single_image_fid

IMAGES = ("n", 3, "h", "w")
CHANNELS = 4


def write_network(
    path: Path,
    *,
    inputs: Sequence[tuple[str, int, Sequence[int | str]]] = (("x", TensorProto.FLOAT, IMAGES),),
    operator: str = "Conv",
    output: int = TensorProto.FLOAT,
) -> Path:
    """A convolution of 2x2 with stride 2 and drawn weights; or one operator on the first input."""
    weight = np.random.default_rng(0).normal(size=(CHANNELS, 3, 2, 2)).astype(np.float32)
    nodes = {
        "Conv": helper.make_node("Conv", ["x", "weight"], ["y"], strides=[2, 2]),
        "Flatten": helper.make_node("Flatten", ["x"], ["y"]),
        "GlobalAveragePool": helper.make_node("GlobalAveragePool", ["x"], ["y"]),
        "Log": helper.make_node("Log", ["x"], ["y"]),
        "Shape": helper.make_node("Shape", ["x"], ["y"]),
    }
    graph = helper.make_graph(
        [nodes[operator]],
        "features",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(weight, "weight")] if operator == "Conv" else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path / "features.onnx")


def paint(path: Path, size: tuple[int, int] = (16, 12), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """real.png, and samples/ of the same size: real.png itself at 0.png, then others."""
    paint(tmp_path / "real.png")
    for seed in range(3):
        paint(tmp_path / "samples" / f"{seed}.png", seed=seed)
    return tmp_path


def tensor(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(path), dtype=np.float32) / 255 * 2 - 1).permute(2, 0, 1)


def command(tmp_path: Path, *arguments: str | Path) -> int:
    commands: dict[str, CommandCard] = {card.name: card for card in plugin.i2i_commands()}
    session = Session(Registry(commands=commands), Store(tmp_path / "store"))
    return run_program(["measure", *map(str, arguments)], session)


# --- The network ------------------------------------------------------------------------------------------------------


def test_features_are_those_of_the_file_and_its_hash_is_known(network: Path) -> None:
    loaded = FeatureNetwork.load(network)
    images = torch.rand(2, 3, 10, 8) * 2 - 1

    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(CHANNELS, 3, 2, 2)).astype(np.float32))
    expected = torch.nn.functional.conv2d(images, weight, stride=2)
    torch.testing.assert_close(loaded(images), expected, rtol=0, atol=1e-5)
    assert loaded.sha256 == hashlib.sha256(network.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([("x", TensorProto.FLOAT, IMAGES), ("mask", TensorProto.FLOAT, IMAGES)], "mask tensor(float)"),
        ([("x", TensorProto.FLOAT, ("n", 1, "h", "w"))], "'n', 1, 'h', 'w'"),
        ([("x", TensorProto.FLOAT16, IMAGES)], "tensor(float16)"),
        ([("x", TensorProto.FLOAT, ("n", 100))], "'n', 100"),
    ],
    ids=["two inputs", "grey", "half precision", "vectors"],
)
def test_a_network_of_other_inputs_is_refused_when_it_is_loaded(
    values: Sequence[tuple[str, int, Sequence[int | str]]], words: str, tmp_path: Path
) -> None:
    path = write_network(tmp_path / "other.onnx", inputs=values, operator="Shape", output=TensorProto.INT64)
    with pytest.raises(UsageError) as caught:
        FeatureNetwork.load(path)
    assert words in caught.value.found
    assert "float32 [n, 3, h, w] in [-1, 1]" in caught.value.expected
    assert caught.value.fix


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    for name, words in (("text.onnx", "not an .onnx file"), ("missing.onnx", "does not exist"), (".", "is a folder")):
        with pytest.raises(UsageError, match=words):
            FeatureNetwork.load(tmp_path / name)


def test_a_network_of_one_size_is_refused_for_images_of_another(tmp_path: Path) -> None:
    values = [("x", TensorProto.FLOAT, ("n", 3, 299, 299))]
    loaded = FeatureNetwork.load(write_network(tmp_path / "fixed.onnx", inputs=values))
    assert loaded(torch.zeros(1, 3, 299, 299)).shape == (1, CHANNELS, 149, 149)
    with pytest.raises(UsageError, match=r"\['n', 3, 299, 299\] only, and these are \[1, 3, 12, 16\]") as caught:
        loaded(torch.zeros(1, 3, 12, 16))
    assert "free height and width" in caught.value.fix


@pytest.mark.parametrize(("operator", "kind"), [("Flatten", TensorProto.FLOAT), ("Shape", TensorProto.INT64)])
def test_an_output_that_is_no_map_of_features_is_refused(operator: str, kind: int, tmp_path: Path) -> None:
    loaded = FeatureNetwork.load(write_network(tmp_path / "other.onnx", operator=operator, output=kind))
    with pytest.raises(UsageError, match="gives 'y' as") as caught:
        loaded(torch.zeros(1, 3, 4, 4))
    assert "a map of features" in caught.value.expected


def test_without_onnxruntime_the_extra_that_brings_it_is_named(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(devices, "wheels", dict[str, str])
    with pytest.raises(DeviceError, match="onnxruntime is not installed") as caught:
        FeatureNetwork.load(network)
    assert "i2i-runtime[cpu]" in caught.value.fix


# --- Measuring files --------------------------------------------------------------------------------------------------


def test_files_are_measured_as_tensors_are(images: Path, network: Path) -> None:
    found = measure_samples(images / "real.png", [images / "samples"], network)

    real, samples = tensor(images / "real.png"), [tensor(images / "samples" / f"{seed}.png") for seed in range(3)]
    assert found.diversity == pytest.approx(diversity(samples, real), rel=1e-6)
    assert found.sifid == pytest.approx(single_image_fid([real], samples, FeatureNetwork.load(network)), rel=1e-6)
    assert (found.samples, found.real_size, found.sample_sizes) == (3, (12, 16), ((12, 16),))
    assert found.features_sha256 == hashlib.sha256(network.read_bytes()).hexdigest()
    assert not found.no_diversity


def test_a_sample_equal_to_the_image_is_at_no_distance(images: Path, network: Path) -> None:
    alone = measure_samples(images / "real.png", [images / "samples" / "0.png"], network)
    assert alone.sifid == pytest.approx(0, abs=1e-9)
    assert alone.diversity is None
    assert alone.no_diversity == "1 sample"


def test_samples_of_several_sizes_have_a_distance_and_no_diversity(images: Path, network: Path) -> None:
    paint(images / "samples" / "wide.png", size=(40, 12))
    found = measure_samples(images / "real.png", [images / "samples"], network)

    assert found.sifid is not None
    assert found.diversity is None
    assert found.no_diversity == "samples of 16x12 and of 40x12 pixels"
    assert found.sample_sizes == ((12, 16), (12, 40))
    with pytest.raises(UsageError, match="16x12 and of 40x12"):
        measure_samples(images / "real.png", [images / "samples"])


def test_files_and_folders_may_be_mixed_and_count_once(images: Path) -> None:
    samples = images / "samples"
    assert measure_samples(images / "real.png", [samples / "1.png", samples, samples / "1.png"]).samples == 3


def test_what_cannot_be_measured_is_refused(images: Path) -> None:
    real, samples = images / "real.png", images / "samples"
    (images / "empty").mkdir()
    for fakes, words in (
        ([samples / "0.png"], "1 sample"),
        ([images / "empty"], "holds no images"),
        ([samples, images / "gone.png"], "gone.png does not exist"),
        ([images], "is the real image, and among the samples"),
    ):
        with pytest.raises(UsageError, match=words):
            measure_samples(real, fakes)
    with pytest.raises(LayoutError, match="holds 3 images"):
        measure_samples(samples, [samples / "0.png"])


def test_a_damaged_sample_is_not_left_out(images: Path) -> None:
    (images / "samples" / "bad.png").write_text("no image")
    with pytest.raises(ImageError, match=r"bad\.png"):
        measure_samples(images / "real.png", [images / "samples"])


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table(images: Path, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(images, images / "real.png", images / "samples", "--features", network) == 0
    told = capsys.readouterr()
    found = measure_samples(images / "real.png", [images / "samples"], network)

    title, first, second = told.out.splitlines()
    assert title.split() == ["measure", "value", "of"]
    assert first.split()[:2] == ["diversity", f"{found.diversity:.4g}"]
    assert second.split()[:2] == ["SIFID", f"{found.sifid:.4g}"]
    assert "3 samples of 16x12" in first
    assert found.features_sha256 in second
    assert not told.err


def test_the_command_prints_json(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(images, images / "real.png", images / "samples", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 3
    assert found["diversity"] == measure_samples(images / "real.png", [images / "samples"]).diversity
    assert found["sifid"] is None


def test_the_command_says_what_was_not_measured_and_what_does_not_compare(
    images: Path, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = paint(images / "wide.png", size=(40, 12))
    assert command(images, images / "real.png", wide, "--features", network) == 0
    told = capsys.readouterr()
    assert "diversity was not measured: 1 sample" in told.err
    assert "REAL has 16x12, the samples 40x12" in told.err
    assert "diversity" not in told.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["real.png", "samples/0.png"], 2, "1 sample"),
        (["real.png"], 2, "Missing argument 'SAMPLE...'"),
        (["gone.png", "samples"], 2, "gone.png does not exist"),
        (["real.png", "samples", "--features", "samples/0.png"], 2, "is not an .onnx file"),
        (["real.png", "samples", "--features", "pooled.onnx"], 2, "features of 1 position"),
        (["real.png", "samples", "--features", "log.onnx"], 2, "features are not finite"),
        (["real.png", "text.png"], 2, "text.png is not an image"),
        (["samples", "real.png"], 2, "holds 3 images"),
    ],
    ids=[
        "too few",
        "none",
        "no image",
        "an image as network",
        "one position",
        "no numbers",
        "text",
        "several",
    ],
)
def test_the_command_refuses_in_words(
    *,
    arguments: Sequence[str],
    code: int,
    words: str,
    images: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(images)
    Path("text.png").write_text("no image")
    write_network(Path("pooled.onnx"), operator="GlobalAveragePool")
    write_network(Path("log.onnx"), operator="Log")
    assert command(images, *arguments) == code
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" not in told.err
    assert "--data" not in told.err, "it has no such option"
    assert not told.out


def test_the_help_loads_no_torch() -> None:
    code = (
        "import sys; from i2i_registry.cli import run_program; assert run_program(['measure', '--help']) == 0; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SIFID" in done.stdout
