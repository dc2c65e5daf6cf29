"""Inputs on which no two machines agree are told from exports that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from i2i_exporter_onnx.bundle import write_graph
from i2i_exporter_onnx.cases import Case
from i2i_exporter_onnx.parity import Measured, measure, sensitivity
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, OutlierTolerance, ResolvedGraph

SIDE = 32
TOLERANCE = 2e-5
BATCH = Axis("batch", 2)
IMAGE = {"image": Form((BATCH, 3, SIDE, SIDE), "image")}


def measured(module: nn.Module, outputs: tuple[str, ...], name: str, by: float, folder: Path) -> Measured:
    """The parity of a module with a file that was written while one of its buffers was larger."""
    graph = ResolvedGraph(module, outputs, inputs=IMAGE)
    buffer = module.get_buffer(name)
    true = buffer.clone()
    with torch.no_grad():
        buffer.add_(by)
        file = folder / write_graph(to_onnx("net", graph), folder, "net").file
        buffer.copy_(true)
    return measure("net", graph, file, TOLERANCE, threads=1)


class Normalising(nn.Module):
    """An instance norm. `rounding` is added to one half of the columns and taken from the other."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rounding", torch.zeros(()))
        self.register_buffer("eps", torch.tensor(1e-9))

    def forward(self, image: Tensor) -> Tensor:
        sign = torch.arange(image.shape[-1]) % 2 * 2.0 - 1
        x = image + self.get_buffer("rounding") * sign
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / torch.sqrt(centred.square().mean((2, 3), keepdim=True) + self.get_buffer("eps"))


def test_a_millionth_in_the_input_may_show_where_the_image_is_nearly_constant(tmp_path: Path) -> None:
    """A pixel of one step more than its image is known to a ten-thousandth in fp32, and so is what is made of it."""
    figures = measured(Normalising(), ("made",), "rounding", 1e-6, tmp_path)
    found = {case.inputs: case for case in figures.cases}
    assert TOLERANCE < found["pixel"].relative < 4 * 1.3e-4
    assert found["pixel"].sensitivity == pytest.approx(1.3e-4, rel=0.5)
    assert [found[kind].sensitivity for kind in ("images", "noise", "checkerboard")] == [None] * 3
    assert figures.relative < TOLERANCE


def test_a_wrong_export_is_caught_by_a_nearly_constant_image_alone(tmp_path: Path) -> None:
    """An eps that is too large by as much as the variance of such an image; photographs vary a million times more."""
    with pytest.raises(ExportError, match=r", pixel: onnxruntime differs from torch by 0\.\d+ of the largest value"):
        measured(Normalising(), ("made",), "eps", 1e-7, tmp_path)


class Twofold(nn.Module):
    """One output that nobody can compute twice, and one that anybody can."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("phase", torch.zeros(()))
        self.register_buffer("factor", torch.ones(()))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(1e7 * image + self.get_buffer("phase")), image * self.get_buffer("factor")


def test_an_output_that_input_decides_excuses_no_other(tmp_path: Path) -> None:
    outputs = ("chaotic", "steady")
    figures = measured(Twofold(), outputs, "phase", 3.0, tmp_path)
    assert {(case.output, case.sensitivity is None) for case in figures.cases} == {("chaotic", False), ("steady", True)}
    assert figures.relative < TOLERANCE
    with pytest.raises(ExportError, match="output 'steady'"):
        measured(Twofold(), outputs, "factor", 0.1, tmp_path)


def normalising_graph() -> ResolvedGraph:
    """Instance norms, which multiply the rounding of an image of one colour by 300 each."""
    torch.manual_seed(0)
    layers = [
        part for _ in range(3) for part in (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(3))
    ]
    return ResolvedGraph(module=nn.Sequential(*layers).eval(), inputs=IMAGE, outputs=("made",))


@pytest.mark.parametrize(
    ("kind", "is_ill_conditioned"), [("black", True), ("white", True), ("images", False), ("noise", False)]
)
def test_an_image_of_one_colour_decides_nothing(kind: str, *, is_ill_conditioned: bool) -> None:
    case = Case(kind=kind, lengths={"batch": 2}, batch=2, seed=0)
    assert (sensitivity(normalising_graph(), case, "made") > 1e-3) == is_ill_conditioned


class Stepped(nn.Module):
    """An image in steps of 8 bits."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.floor(image * 127.5) / 127.5


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1 / 127.5), (0.01, 0.0)])
def test_values_that_may_stray_do_not_make_an_output_sensitive(share: float, expected: float) -> None:
    """A nudge moves a few values by a whole step, which is left out of the error as well."""
    outliers = OutlierTolerance(share, tolerance=0.02, reason="it truncates to 8 bits")
    graph = ResolvedGraph(
        Stepped(),
        ("made",),
        inputs={
            "image": Form((BATCH, 3, 200, 200), "image"),
        },
        outliers=outliers,
    )
    case = Case("noise", {"batch": 2}, batch=2)
    assert sensitivity(graph, case, "made") == pytest.approx(expected, rel=0.01, abs=1e-6)


class Choosing(nn.Module):
    """Takes the image or its negative, as a whole number says."""

    def forward(self, image: Tensor, start: Tensor) -> Tensor:
        return torch.where(start[:, None, None, None] > 1, image, -image)


def test_whole_numbers_are_no_source_of_rounding() -> None:
    graph = ResolvedGraph(Choosing(), ("made",), inputs={**IMAGE, "start": Form((BATCH,), "whole", 0, 2)})
    for seed in range(5):
        assert sensitivity(graph, Case("noise", {"batch": 2}, batch=2, seed=seed), "made") < TOLERANCE
