"""A model with weights becomes a bundle, or an error and nothing."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from beartype import beartype
from jaxtyping import Float, jaxtyped
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from i2i_exporter_onnx import OnnxExporter
from i2i_exporter_onnx.bundle import NO_HASH, write_graph
from i2i_exporter_onnx.cases import EXTREMES
from i2i_exporter_onnx.parity import measure
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.cards import ModelCard, Trained, WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions, ExportReport
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_registry.plugins.discovery import Plugin, Registry
from i2i_registry.weights.loading import save
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.device import providers as devices
from i2i_runtime.errors import BundleError, I2IError, UsageError
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.records import Record
from i2i_runtime.schema.manifest import GRAPH_KEY, MANIFEST_KEY, Manifest
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation


class Sizes(Record):
    """The toy's sizes, and which fault it has."""

    channels: int = 4
    side: int = 16
    dynamic: bool = True
    fault: Literal["", "not finite", "batch norm", "traced", "grey"] = ""


class Painter(nn.Module):
    """An image and a latent in; an image, and one number per image, out."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.fault = config.fault
        self.first = parametrizations.spectral_norm(nn.Conv2d(3, config.channels, 3, padding=1))
        self.norm = nn.InstanceNorm2d(config.channels, affine=True)
        self.shift = nn.Linear(2, config.channels)
        self.down = nn.Conv2d(config.channels, config.channels, 4, 2, 1)
        self.last = nn.ConvTranspose2d(config.channels, 3, 4, 2, 1)

    @jaxtyped(typechecker=beartype)
    def forward(
        self, x: Float[Tensor, "b 3 h w"], z: Float[Tensor, "b 2"]
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1"]]:
        hidden = F.relu(self.norm(self.first(x)) + self.shift(z)[:, :, None, None])
        if self.fault == "batch norm":
            hidden = F.batch_norm(hidden, None, None, training=True)
        if self.fault == "not finite":
            hidden = hidden / (x.std((1, 2, 3), keepdim=True) / x.std((1, 2, 3), keepdim=True))
        if self.fault == "traced" and torch.compiler.is_exporting():
            hidden = 1.01 * hidden
        return torch.tanh(self.last(self.down(hidden))), hidden.mean((1, 2, 3))[:, None]


class Toy(Model[Record]):
    """One graph, one operation."""

    name: ClassVar[str] = "toy"
    Config: ClassVar[type[Record]] = Sizes
    presets: ClassVar[Mapping[str, Record]] = {"toy": Sizes()}

    def __init__(self, config: Sizes) -> None:
        super().__init__(config)
        self.sizes = config
        torch.manual_seed(0)
        self.painter = Painter(config)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"painter": self.painter}

    def operations(self) -> tuple[Operation, ...]:
        side = self.sizes.side
        rule = SizeRule(height=side, width=side, dynamic=self.sizes.dynamic, multiple=2, minimum=4)
        return (
            Operation(
                name="translate",
                inputs=(ImageInput(name="image", size=rule), LatentInput(name="style", shape=(2,))),
                outputs=(ImageOutput(name="image", channels=1 if self.sizes.fault == "grey" else None),),
                steps=(GraphCall(graph="paint", inputs={"x": "image", "z": "style"}, outputs={"y": "image"}),),
            ),
        )

    def graphs(self) -> Mapping[str, Graph]:
        return {"paint": Graph(self.painter, ("y", "strength"))}

    @classmethod
    def shrunk(cls, config: Record) -> Record:
        return config


LICENCE = Licence(spdx="CC0-1.0")
PAPER = Paper(title="Toys", authors="A. Body", year=2020)
CARD = ModelCard(
    name="toy",
    summary="",
    paper=PAPER,
    licence=LICENCE,
    operations=("translate",),
    presets=("toy",),
    model="toy:Toy",
)
REGISTRY = Registry(models={"toy": CARD}, sources={"toy": Plugin("toy", "i2i-plugin-toy", "1.2")})
EXPORTER = OnnxExporter(REGISTRY.origins())


def weights_of(model: Toy) -> WeightsCard:
    with TemporaryDirectory() as folder:
        save(model, Path(folder) / "weights")
        data = (Path(folder) / "weights").read_bytes()
    return WeightsCard(
        name="drawn",
        model="toy",
        config=model.config.model_dump(),
        sha256=sha256(data).hexdigest(),
        size=len(data),
        licence=LICENCE,
        provenance=Trained(data="nothing", command="", seed=0, steps=0),
        plugin="i2i-plugin-toy 1.2",
    )


def export(
    config: Sizes, destination: Path, options: ExportOptions | None = None, told: list[str] | None = None
) -> ExportReport:
    model = Toy(config)
    tell = told.append if told is not None else _silent
    return EXPORTER.export(model, weights_of(model), destination, options or ExportOptions(), tell)


def _silent(_: str) -> None:
    return


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good fp32 bundle; tests that change it copy it first."""
    return export(Sizes(), tmp_path_factory.mktemp("bundles") / "toy-onnx").artefact


def manifest_of(bundle: Path) -> Manifest:
    return Manifest.model_validate_json((bundle / "manifest.json").read_bytes())


def run(bundle: Path, batch: int, height: int, width: int) -> np.ndarray:
    session = devices.onnxruntime().InferenceSession(str(bundle / "paint.onnx"), providers=["CPUExecutionProvider"])
    feeds = {"x": np.zeros((batch, 3, height, width), np.float32), "z": np.ones((batch, 2), np.float32)}
    return np.asarray(session.run(["y"], feeds)[0])


def test_a_bundle_opens_with_the_runtime_and_tells_where_it_comes_from(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest

    assert (manifest.name, manifest.model, manifest.paper, manifest.model_licence) == ("drawn", "toy", PAPER, LICENCE)
    assert manifest.weights.sha256 == weights_of(Toy(Sizes())).sha256
    assert manifest.made_by["i2i-plugin-toy"] == "1.2"
    assert manifest.config == Sizes().model_dump()
    assert manifest.operations == Toy(Sizes()).operations()


def test_nothing_but_the_manifest_and_one_file_a_graph_is_in_a_bundle(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.json", "paint.onnx"]
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_parity_is_recorded_for_every_batch_size_and_kind(bundle: Path) -> None:
    parity = manifest_of(bundle).parity

    assert {case.batch for case in parity.cases} == {1, 2, 3}
    assert {(case.height, case.width) for case in parity.cases} == {(16, 16), (8, 8), (8, 18)}
    assert {case.inputs for case in parity.cases} == {"images", *EXTREMES}
    assert parity.relative == max(case.relative for case in parity.cases) <= parity.tolerance == 1e-4
    assert parity.levels is not None
    assert parity.levels < 127.5 * 1e-4
    assert parity.versions.keys() == {"torch", "onnx", "onnxscript", "onnxruntime", "python"}


def test_the_graph_is_opset_20_and_names_its_free_axes(bundle: Path) -> None:
    graph = onnx.load(bundle / "paint.onnx")
    spec = manifest_of(bundle).graphs["paint"]

    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 20)]
    assert manifest_of(bundle).opset == 20
    assert [tensor.shape for tensor in spec.inputs] == [("batch", 3, "height", "width"), ("batch", 2)]
    assert [tensor.shape for tensor in spec.outputs] == [("batch", 3, "height", "width"), ("batch", 1)]


@pytest.mark.parametrize(("batch", "height", "width"), [(5, 6, 40), (1, 4, 4), (2, 16, 22)])
def test_free_axes_take_lengths_that_nobody_measured(bundle: Path, batch: int, height: int, width: int) -> None:
    assert run(bundle, batch, height, width).shape == (batch, 3, height, width)


def test_a_lone_graph_carries_the_manifest_without_hashes(bundle: Path) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(bundle / "paint.onnx").metadata_props}
    carried = Manifest.model_validate_json(metadata[MANIFEST_KEY])

    assert metadata[GRAPH_KEY] == "paint"
    assert {graph.sha256 for graph in carried.graphs.values()} == {NO_HASH}
    assert carried.model_copy(update={"graphs": {}}) == manifest_of(bundle).model_copy(update={"graphs": {}})
    assert open_bundle(bundle / "paint.onnx").manifest == carried


def test_a_graph_tells_nothing_about_the_machine_it_was_made_on(bundle: Path) -> None:
    data = (bundle / "paint.onnx").read_bytes()

    assert b"test_onnx_export" not in data
    assert str(Path.cwd()).encode() not in data


def test_progress_is_told_line_by_line(tmp_path: Path) -> None:
    told: list[str] = []

    export(Sizes(), tmp_path / "b", told=told)

    assert [line.partition(" ")[0] for line in told] == ["paint:"] * 4 + ["translate:"]
    assert "steps of 8 bits" in told[3]
    assert "runs from end to end" in told[4]


def test_two_exports_of_the_same_weights_give_the_same_graphs(bundle: Path, tmp_path: Path) -> None:
    again = export(Sizes(), tmp_path / "again").artefact

    assert manifest_of(again).graphs == manifest_of(bundle).graphs


def test_fp16_halves_the_weights_and_keeps_its_own_tolerance(tmp_path: Path) -> None:
    full = export(Sizes(channels=64), tmp_path / "full").artefact
    half = export(Sizes(channels=64), tmp_path / "half", ExportOptions(precision="fp16")).artefact

    parity = manifest_of(half).parity
    assert manifest_of(half).precision == "fp16"
    assert parity.tolerance == 2e-2
    assert 1e-5 < parity.relative < 1e-2
    assert {tensor.dtype for tensor in manifest_of(half).graphs["paint"].inputs} == {"float32"}
    assert (half / "paint.onnx").stat().st_size < 0.6 * (full / "paint.onnx").stat().st_size


FAULTS: list[tuple[Sizes, str]] = [
    (Sizes(fault="traced"), r"batch 1, 16x16, images: onnxruntime differs from torch by"),
    (Sizes(fault="not finite"), r"batch \d, \d+x\d+, black: torch itself gives values that are not finite"),
    (Sizes(fault="grey"), r"made as \['any', 3, 'any', 'any'\], and is to be \['any', 1, 'any', 'any'\]"),
    (Sizes(fault="batch norm"), "batch norm with the statistics of the batch"),
]


@pytest.mark.parametrize(("config", "message"), FAULTS, ids=[config.fault for config, _ in FAULTS])
def test_a_failed_export_leaves_nothing(config: Sizes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        export(config, tmp_path / "new" / "bundle")

    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_other_numbers_is_caught(tmp_path: Path) -> None:
    model = Toy(Sizes())
    graph = resolved_graphs(model)["paint"]
    file = write_graph(to_onnx("paint", graph), tmp_path, "paint")
    with torch.no_grad():
        model.painter.last.bias.add_(0.01)  # pyright: ignore[reportOptionalMemberAccess] - it has a bias

    with pytest.raises(ExportError, match=r"graph 'paint', output 'y'.*differs from torch") as caught:
        measure("paint", graph, tmp_path / file.file, 1e-4, threads=1)
    assert "steps of 8 bits" in caught.value.found


def test_an_existing_destination_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(UsageError, match="exists already"):
        export(Sizes(), tmp_path / "mine")

    assert (tmp_path / "mine").read_text() == "precious"


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ExportError, match="could not be written"):
        export(Sizes(), tmp_path / "file" / "bundle")


def test_a_size_fixes_graph_and_operation(tmp_path: Path) -> None:
    manifest = manifest_of(export(Sizes(), tmp_path / "b", ExportOptions(size=12)).artefact)

    (image, _) = manifest.operations[0].inputs
    assert isinstance(image, ImageInput)
    assert (image.size.dynamic, image.size.height, image.size.width) == (False, 12, 12)
    assert manifest.graphs["paint"].inputs[0].shape == ("batch", 3, 12, 12)
    assert {(case.height, case.width) for case in manifest.parity.cases} == {(12, 12)}


def test_a_fixed_size_network_is_exported_at_its_size(tmp_path: Path) -> None:
    path = export(Sizes(dynamic=False), tmp_path / "b", ExportOptions(size=16)).artefact

    assert manifest_of(path).graphs["paint"].inputs[0].shape == ("batch", 3, 16, 16)


WRONG_SIZES: list[tuple[Sizes, int | Literal["dynamic"], str]] = [
    (Sizes(), 13, "multiples of 2, at least 4"),
    (Sizes(), 2, "multiples of 2, at least 4"),
    (Sizes(dynamic=False), 32, "exactly 16x16"),
    (Sizes(dynamic=False), "dynamic", "exactly 16x16"),
]


@pytest.mark.parametrize(("config", "size", "expected"), WRONG_SIZES)
def test_a_size_that_does_not_fit_names_the_rule(
    config: Sizes, size: int | Literal["dynamic"], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        export(config, tmp_path / "b", ExportOptions(size=size))

    assert expected in caught.value.expected


def test_a_bundle_verifies_against_its_weights(bundle: Path) -> None:
    again = EXPORTER.verify(bundle, Toy(Sizes()), _silent)

    assert again.cases == manifest_of(bundle).parity.cases


def test_a_bundle_verifies_within_its_tolerance(bundle: Path) -> None:
    assert 1e-5 < EXPORTER.verify(bundle, change_less_than_the_model_tolerates(bundle), _silent).relative < 1e-4


def test_a_bundle_of_one_size_verifies_at_it(tmp_path: Path) -> None:
    path = export(Sizes(), tmp_path / "b", ExportOptions(size=12)).artefact

    assert {case.height for case in EXPORTER.verify(path, Toy(Sizes()), _silent).cases} == {12}


def test_a_size_that_no_memory_holds_is_refused_before_the_work_and_the_fix_works(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--size 60000 takes more than 2520\.0 GB of memory") as caught:
        export(Sizes(), tmp_path / "b", ExportOptions(size=60000))
    assert not list(tmp_path.iterdir())
    export(Sizes(), tmp_path / "b", ExportOptions(size=int(caught.value.fix.removeprefix("--size "))))


def test_a_zipped_bundle_verifies(bundle: Path, tmp_path: Path) -> None:
    zipped = Path(shutil.make_archive(str(tmp_path / "toy"), "zip", bundle))

    assert EXPORTER.verify(zipped, Toy(Sizes()), _silent).relative <= 1e-4


def test_what_a_killed_verify_leaves_is_known_to_the_next_command(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: set[str] = set()
    EXPORTER.verify(bundle, Toy(Sizes()), lambda _: seen.update(path.name for path in tmp_path.iterdir()))
    assert seen
    assert not [name for name in seen if not re.fullmatch(r"\..*\.i2i-[0-9a-f]+\.partial", name)]
    assert not list(tmp_path.iterdir())


def flip_a_byte(bundle: Path) -> Toy:
    data = bytearray((bundle / "paint.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "paint.onnx").write_bytes(data)
    return Toy(Sizes())


def change_a_weight(_: Path) -> Toy:
    model = Toy(Sizes())
    with torch.no_grad():
        model.painter.down.weight.mul_(1.5)
    return model


def change_the_config(_: Path) -> Toy:
    return Toy(Sizes(channels=8))


def change_less_than_the_model_tolerates(_: Path) -> Toy:
    model = Toy(Sizes())
    with torch.no_grad():
        model.painter.last.bias.add_(2e-5)  # pyright: ignore[reportOptionalMemberAccess] - it has a bias
    return model


def tighten_the_record(bundle: Path) -> Toy:
    text = json.loads((bundle / "manifest.json").read_text())
    text["parity"]["tolerance"] = 1e-6
    (bundle / "manifest.json").write_text(json.dumps(text))
    return change_less_than_the_model_tolerates(bundle)


def loosen_the_record_and_change_a_weight(bundle: Path) -> Toy:
    """As in a bundle of before, where the loosest graph's tolerance was everybody's."""
    text = json.loads((bundle / "manifest.json").read_text())
    text["parity"]["tolerance"] = 1e9
    (bundle / "manifest.json").write_text(json.dumps(text))
    return change_a_weight(bundle)


TAMPERINGS: list[tuple[Callable[[Path], Toy], type[I2IError], str]] = [
    (flip_a_byte, BundleError, "sha256"),
    (change_a_weight, ExportError, r"the weights given \(sha256 .*\) are not those the bundle records \(drawn@1"),
    (change_the_config, ExportError, "channels = 4 in the bundle, 8 given"),
    (tighten_the_record, ExportError, r"differs from torch [\s\S]*at most 1e-06"),
    (loosen_the_record_and_change_a_weight, ExportError, r"differs from torch .* the weights given"),
]


@pytest.mark.parametrize(("tamper", "error", "message"), TAMPERINGS, ids=[case[0].__name__ for case in TAMPERINGS])
def test_verify_tells_what_does_not_fit(
    tamper: Callable[[Path], Toy], error: type[I2IError], message: str, bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    model = tamper(copy)

    with pytest.raises(error, match=message):
        EXPORTER.verify(copy, model, _silent)


def test_weights_beyond_one_file_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    graph = resolved_graphs(Toy(Sizes()))["paint"]

    with pytest.raises(ExportError, match="GB of weights"):
        write_graph(to_onnx("paint", graph), tmp_path, "paint", largest=100)

    assert list(tmp_path.iterdir()) == []
