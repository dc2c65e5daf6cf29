"""The kinds of input that no shipped plugin has yet: from torch through export, app and command line to the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import i2i_runtime as i2i
from i2i_conformance.calls import Call, calls
from i2i_conformance.checks.running import (
    check_batch_invariance,
    check_every_input_matters,
    check_repeats,
    check_runtime_equals_torch,
)
from i2i_conformance.checks.structure import check_wiring
from i2i_exporter_onnx import OnnxExporter
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import ModelCard, Trained, WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.model import Model
from i2i_registry.plugins.discovery import Plugin, Registry, discover
from i2i_registry.sheets.sheet import fitted
from i2i_registry.weights.loading import save
from i2i_registry.weights.store import Store
from i2i_runtime import (
    Bundle,
    GraphCall,
    ImageInput,
    ImageOutput,
    InstancesInput,
    Interpolation,
    LabelsInput,
    LatentInput,
    Licence,
    NoiseMapsInput,
    Operation,
    OperationName,
    Paper,
    Record,
    ReferencesInput,
    SegmentationInput,
    SizeRule,
    SlotsInput,
)
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.call.memory_use import ASSUMED, bytes_per_pixel

SIDE = 16
CLASSES = ("sky", "grass", "tree")
COLOURS = ((70, 130, 180), (0, 128, 0), (107, 142, 35))
HAIR = ("black", "blond")
ATTRIBUTES = (*HAIR, "male")
SLOTS, DIM = 3, 4
SHAPES = ((1, 4, 4), (2, SIDE, SIDE))

IMAGE = ImageInput(name="image", size=SizeRule(height=SIDE, width=SIDE, dynamic=True, multiple=2, minimum=4))
LABELS = SegmentationInput(
    name="labels", height=SIDE, width=SIDE, names=CLASSES, colours=COLOURS, has_unknown=True, summary="What is where."
)
INSTANCES = InstancesInput(name="instances", labels="labels", height=SIDE, width=SIDE)
OPERATIONS = (
    Operation(
        name="paint",
        inputs=(LABELS, INSTANCES),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="paint", inputs={"k": "labels", "e": "instances"}, outputs={"y": "image"}),),
    ),
    Operation(
        name="edit",
        inputs=(IMAGE, LabelsInput(name="attributes", names=ATTRIBUTES, groups=(HAIR,))),
        outputs=(ImageOutput(name="edited"),),
        steps=(GraphCall(graph="edit", inputs={"x": "image", "c": "attributes"}, outputs={"y": "edited"}),),
    ),
    Operation(
        name="translate",
        inputs=(IMAGE, ReferencesInput(name="references", height=8, width=8)),
        outputs=(ImageOutput(name="translated"),),
        steps=(GraphCall(graph="translate", inputs={"x": "image", "r": "references"}, outputs={"y": "translated"}),),
    ),
    Operation(
        name="sample",
        inputs=(
            SlotsInput(name="styles", slots=SLOTS, dim=DIM, ranges={"coarse": (0, 1)}),
            NoiseMapsInput(name="noise", shapes=SHAPES),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(
            GraphCall(graph="sample", inputs={"w": "styles", "a": "noise_0", "b": "noise_1"}, outputs={"y": "image"}),
        ),
    ),
    Operation(
        name="translate_like",
        inputs=(IMAGE, LABELS, INSTANCES, LatentInput(name="z", shape=(3,))),
        outputs=(ImageOutput(name="painted"),),
        steps=(
            GraphCall(
                graph="translate_like",
                inputs={"x": "image", "k": "labels", "e": "instances", "z": "z"},
                outputs={"y": "painted"},
            ),
        ),
    ),
    Operation(
        name="stylize_mix",
        inputs=(
            IMAGE,
            SlotsInput(name="styles", slots=SLOTS, dim=DIM, ranges={"coarse": (0, 1)}),
            NoiseMapsInput(name="noise", shapes=((3, 1, 1),), default="zeros"),
        ),
        outputs=(ImageOutput(name="mixed"),),
        steps=(
            GraphCall(
                graph="stylize_mix", inputs={"x": "image", "w": "styles", "n": "noise_0"}, outputs={"y": "mixed"}
            ),
        ),
        interpolation=Interpolation(value="styles", along="arc"),
    ),
)


class Painter(nn.Module):
    """A one-hot label map and the edges of its instances, convolved (SPADE's input, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(LABELS.count + 1, 3, 3, padding=1)

    def forward(self, k: Tensor, e: Tensor) -> Tensor:
        hot = F.one_hot(k[:, 0], LABELS.count).permute(0, 3, 1, 2).to(e.dtype)
        return torch.tanh(self.conv(torch.cat([hot, e], 1)))


class Editor(nn.Module):
    """An image beside planes of its attributes (StarGAN, section 3.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3 + len(ATTRIBUTES), 3, 3, padding=1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        planes = c[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
        return torch.tanh(self.conv(torch.cat([x, planes], 1)))


class Likener(nn.Module):
    """An image under the mean code of references (FUNIT, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.embed = nn.Conv2d(3, 3, 3, stride=2)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        codes = self.embed(r.flatten(0, 1)).relu().mean((2, 3))
        return torch.tanh(self.conv(x) + codes.unflatten(0, r.shape[:2]).mean(1)[:, :, None, None])


class Sampler(nn.Module):
    """Latents and noise for each layer, from 4x4 up (StyleGAN, section 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(SLOTS * DIM, 3)
        self.noise = nn.Conv2d(2, 3, 1)

    def forward(self, w: Tensor, a: Tensor, b: Tensor) -> Tensor:
        low = self.affine(w.flatten(1))[:, :, None, None] + a
        return torch.tanh(F.interpolate(low, scale_factor=SIDE // 4) + self.noise(b))


class StyledPainter(Painter):
    """A label map in the mean colour of an image, with noise on it (SPADE with its encoder)."""

    def forward(self, x: Tensor, k: Tensor, e: Tensor, z: Tensor) -> Tensor:  # type: ignore[override]
        return torch.tanh(Painter.forward(self, k, e) + (x.mean((2, 3)) + z)[:, :, None, None])


class Mixer(nn.Module):
    """An image under the latents of all layers, and noise."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.affine = nn.Linear(SLOTS * DIM, 3)

    def forward(self, x: Tensor, w: Tensor, n: Tensor) -> Tensor:
        return torch.tanh(self.conv(x) + self.affine(w.flatten(1))[:, :, None, None] + n)


class Nothing(Record):
    """Nothing to choose."""


class Toy(Model[Nothing]):
    """A network for each operation."""

    name: ClassVar[str] = "kinds"
    Config: ClassVar[type[Record]] = Nothing
    presets: ClassVar[Mapping[str, Record]] = {"kinds": Nothing()}

    def __init__(self, config: Nothing) -> None:
        super().__init__(config)
        torch.manual_seed(0)
        self.paint, self.edit, self.translate, self.sample = Painter(), Editor(), Likener(), Sampler()
        self.translate_like = StyledPainter()
        self.stylize_mix = Mixer()

    def operations(self) -> tuple[Operation, ...]:
        return OPERATIONS

    def graphs(self) -> Mapping[str, Graph]:
        return {name: Graph(network, ("y",)) for name, network in self.networks.items()}

    @classmethod
    def shrunk(cls, config: Nothing) -> Nothing:
        return config


@pytest.fixture(scope="module")
def model() -> Toy:
    return Toy(Nothing())


@pytest.fixture(scope="module")
def folder(model: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, written by the exporter, which measures parity and rehearses every operation."""
    home = tmp_path_factory.mktemp("kinds")
    save(model, home / "weights")
    data = (home / "weights").read_bytes()
    licence = Licence(spdx="CC0-1.0")
    operations: tuple[OperationName, ...] = tuple(operation.name for operation in OPERATIONS)
    paper = Paper(title="Kinds", authors="A. Body", year=2020)
    card = ModelCard(
        name="kinds", summary="", paper=paper, licence=licence, operations=operations, presets=("kinds",), model="k:Toy"
    )
    weights = WeightsCard(
        name="drawn",
        model="kinds",
        config={},
        sha256=sha256(data).hexdigest(),
        size=len(data),
        licence=licence,
        provenance=Trained(data="nothing", command="", seed=0, steps=0),
        plugin="i2i-plugin-kinds 1.0",
    )
    registry = Registry(models={"kinds": card}, sources={"kinds": Plugin("kinds", "i2i-plugin-kinds", "1.0")})
    exporter = OnnxExporter(registry.origins())
    return exporter.export(model, weights, home / "kinds-onnx", ExportOptions(), lambda _: None).artefact


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Iterator[Bundle]:
    with i2i.load(folder, device="cpu") as loaded:
        yield loaded


every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@every_operation
def test_the_runtime_gives_what_torch_gives(model: Toy, bundle: Bundle, operation: Operation) -> None:
    for call in calls(operation):
        check_runtime_equals_torch(model, bundle, call)


@every_operation
def test_items_do_not_see_each_other(model: Toy, bundle: Bundle, operation: Operation) -> None:
    check_wiring(model, operation)
    check_batch_invariance(model, bundle, operation)
    check_repeats(bundle, operation)


@every_operation
def test_every_input_matters(model: Toy, operation: Operation) -> None:
    check_every_input_matters(model, operation)


@every_operation
def test_the_manifest_can_be_read_again(operation: Operation) -> None:
    assert Operation.model_validate_json(operation.model_dump_json()) == operation


@every_operation
def test_every_input_has_another_value_that_fits_its_graph(operation: Operation) -> None:
    call = Call(operation, (SIDE, SIDE), 2, next(operation.branches()))
    for value in operation.inputs:
        for name, form in value.forms(operation.named).items():
            tensor = call.tensors()[name].numpy()
            others = value.others(tensor)
            assert others, value.noun()
            assert not any(np.array_equal(other, tensor) for other in others), value.noun()
            for other in others:
                assert (other.shape, other.dtype) == (tensor.shape, tensor.dtype)
                assert form.values not in {"index", "whole"} or form.low <= other.min() <= other.max() <= form.high


LABEL_MAP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 8 % len(CLASSES)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has: an image, a folder of references, a label map in colours and one of its instances."""
    home = tmp_path_factory.mktemp("files")
    (home / "references").mkdir()
    generator = np.random.default_rng(0)
    for name in ("image", "references/a", "references/b"):
        Image.fromarray(generator.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(home / f"{name}.png")
    Image.fromarray(np.array(COLOURS, np.uint8)[LABEL_MAP]).save(home / "labels.png")
    Image.fromarray((LABEL_MAP // 2).astype(np.uint8)).save(home / "instances.png")
    return home


ASKED = {
    "paint": ["--labels", "labels.png", "--instances", "instances.png"],
    "edit": ["image.png", "--attributes", "blond, male"],
    "translate": ["image.png", "--references", "references"],
    "sample": ["--styles", "coarse=5", "--noise", "zeros", "--seed", "3"],
    "translate_like": ["image.png", "--labels", "labels.png", "--instances", "instances.png", "--seed", "3"],
    "stylize_mix": ["image.png", "--styles", "coarse=5", "--noise", "random", "--seed", "3"],
}


def styled(bundle: Bundle, image: Path, seed: int) -> object:
    return bundle.translate_like(image, labels=LABEL_MAP, instances=LABEL_MAP // 2, seed=seed)


def called(bundle: Bundle, files: Path) -> dict[str, object]:
    """The same calls as an app makes them."""
    image = files / "image.png"
    references = [files / "references/a.png", files / "references/b.png"]
    return {
        "paint": bundle.paint(labels=LABEL_MAP, instances=LABEL_MAP // 2),
        "edit": bundle.edit(image, attributes=np.array([0, 1, 1])),
        "translate": bundle.translate(image, references=references),
        "sample": bundle.sample(styles="0-1=5", noise="zeros", seed=3),
        "translate_like": styled(bundle, image, 3),
        "stylize_mix": bundle.stylize_mix(image, styles="0-1=5", noise="random", seed=3),
    }


@every_operation
def test_the_command_line_runs_it(
    folder: Path, bundle: Bundle, files: Path, tmp_path: Path, operation: Operation
) -> None:
    target = tmp_path / "result.png"
    asked = [str(files / word) if (files / word).exists() else word for word in ASKED[operation.name]]
    command = ["run", str(folder), *asked, "-o", str(target), "--operation", operation.name]
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 0
    expected = called(bundle, files)[operation.name]
    np.testing.assert_array_equal(np.asarray(Image.open(target)), np.asarray(expected))


@pytest.mark.parametrize(
    ("operation", "out"),
    [("paint", "labels.png"), ("paint", "instances.png"), ("translate", "references/a.png"), ("edit", "image.png")],
)
def test_the_command_line_overwrites_none_of_the_files_that_it_reads(
    folder: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, operation: str, out: str
) -> None:
    before = (files / out).read_bytes()
    asked = [str(files / word) if (files / word).exists() else word for word in ASKED[operation]]
    command = ["run", str(folder), *asked, "-o", str(files / out), "--operation", operation]
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 2
    assert f"{out} is an input" in capsys.readouterr().err
    assert (files / out).read_bytes() == before


CELL = 64


def enlarged(result: object) -> Image.Image:
    """A result as a cell of a sheet shows it."""
    assert isinstance(result, Image.Image)
    return fitted(result, CELL)


def holds(sheet: Path, result: object) -> bool:
    """Whether a sheet shows this result, in a cell of the result's own size."""
    part = np.asarray(result)
    shown = np.asarray(Image.open(sheet).convert("RGB"))
    windows = np.lib.stride_tricks.sliding_window_view(shown, part.shape)[:, :, 0]
    starts = np.argwhere((windows[:, :, 0, 0] == part[0, 0]).all(axis=-1))
    return any(np.array_equal(windows[row, column], part) for row, column in starts)


def test_a_grid_shows_label_maps_in_the_styles_of_seeds(
    folder: Path, bundle: Bundle, files: Path, tmp_path: Path
) -> None:
    sheet, maps = tmp_path / "grid.png", [str(files / "labels.png"), "--instances", str(files / "instances.png")]
    command = ["grid", str(folder), str(files / "image.png"), "-o", str(sheet), "--cell-px", str(CELL)]
    command += ["--operation", "translate_like", "--labels", *maps, "--seed", "5", "--count", "2"]
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 0
    made = [enlarged(styled(bundle, files / "image.png", seed)) for seed in (5, 6, 7)]
    assert [holds(sheet, each) for each in made] == [True, True, False]


@pytest.mark.parametrize("operation", ["edit", "translate", "translate_like", "stylize_mix"])
def test_models_are_compared_with_the_values_that_are_set(
    folder: Path, bundle: Bundle, files: Path, tmp_path: Path, operation: str
) -> None:
    sheet = tmp_path / "compared.png"
    command = ["compare", str(files / "image.png"), "--models", str(folder), "-o", str(sheet), "--cell-px", str(CELL)]
    command += ["--operation", operation, "--seed", "3"]
    words = dict(zip(ASKED[operation][1::2], ASKED[operation][2::2], strict=True))
    for flag, word in words.items():
        value = str(files / word) if (files / word).exists() else word
        command += ["--set", f"{flag.removeprefix('--')}={value}"] if flag != "--seed" else []
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 0
    assert holds(sheet, enlarged(called(bundle, files)[operation]))


def test_the_memory_of_every_operation_is_measured_on_its_examples(folder: Path) -> None:
    opened = open_bundle(folder)
    for operation in OPERATIONS:
        assert bytes_per_pixel(operation, opened.manifest, opened.graphs) != ASSUMED, operation.name


def test_a_grid_has_a_column_for_each_class_that_is_shown(
    folder: Path, bundle: Bundle, files: Path, tmp_path: Path
) -> None:
    """A folder of references is one column, made with the mean of their codes; one of them is another."""
    sheet, image, one = tmp_path / "grid.png", files / "image.png", files / "references/b.png"
    command = ["grid", str(folder), str(image), "-o", str(sheet), "--cell-px", str(CELL), "--operation", "translate"]
    command += ["--references", str(files / "references"), "--references", str(one)]
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 0
    assert holds(sheet, enlarged(called(bundle, files)["translate"]))
    assert holds(sheet, enlarged(bundle.translate(image, references=one)))
    assert not holds(sheet, enlarged(bundle.translate(image, references=files / "references/a.png")))


@pytest.mark.parametrize("noise", ["zeros", "random", None])
def test_a_grid_of_seeds_keeps_the_mix_and_the_noise_that_were_asked_for(
    folder: Path, bundle: Bundle, files: Path, tmp_path: Path, noise: str | None
) -> None:
    sheet, image = tmp_path / "grid.png", files / "image.png"
    command = ["grid", str(folder), str(image), "-o", str(sheet), "--cell-px", str(CELL), "--operation", "stylize_mix"]
    command += ["--styles", "coarse=5", "--seed", "3", "--count", "2", *(["--noise", noise] if noise else [])]
    assert run_program(command, Session(discover(), Store(tmp_path / "home"))) == 0
    made = [bundle.stylize_mix(image, styles="coarse=5", noise=noise, seed=seed) for seed in (3, 4, 5)]
    assert [holds(sheet, enlarged(each)) for each in made] == [True, True, False]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["grid", "FOLDER", "image.png", "--styles", "3=1", "--operation", "stylize_mix"], "within 0-2"),
        (["compare", "image.png", "--models", "FOLDER", "--set", "noise=none", "--operation", "stylize_mix"], "random"),
        (["grid", "FOLDER", "image.png", "--references", "nowhere", "--operation", "translate"], "nowhere"),
    ],
)
def test_sheets_refuse_what_a_kind_refuses(  # noqa: PLR0917 - the fixtures, then the table
    folder: Path,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(files)
    words = [str(folder) if word == "FOLDER" else word for word in words]
    assert run_program([*words, "-o", str(tmp_path / "x.png")], Session(discover(), Store(tmp_path / "home"))) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_items_of_a_call_may_have_different_numbers_of_references(bundle: Bundle, files: Path) -> None:
    image, a, b = files / "image.png", files / "references/a.png", files / "references/b.png"
    sets = [[a], [a, b], [b]]
    together = bundle.translate([image] * 3, references=sets)
    for made, references in zip(together, sets, strict=True):
        np.testing.assert_array_equal(made, bundle.translate(image, references=references))


def test_an_animation_goes_from_one_mix_to_another(bundle: Bundle, files: Path) -> None:
    """The first and the last frame are what calls with their seeds give."""
    image, options = files / "image.png", {"styles": "coarse=5"}
    frames = bundle.frames("stylize_mix", image, options, to={"seed": 4}, count=3, seed=3)
    for seed, frame in ((3, frames[0]), (4, frames[2])):
        expected = np.asarray(bundle.stylize_mix(image, styles="coarse=5", seed=seed), dtype=np.int16)
        assert np.abs(np.asarray(frame, dtype=np.int16) - expected).max() <= 1
    assert not np.array_equal(np.asarray(frames[0]), np.asarray(frames[1]))
