"""Graphs that round to 8 bits inside: a few values may be a step off, more may not, and none may be anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from i2i_exporter_onnx.bundle import write_graph
from i2i_exporter_onnx.parity import Measured, measure
from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.graphs import Axis, Form, OutlierTolerance, ResolvedGraph

TOLERANCE = 1e-4
FEW = OutlierTolerance(share=0.015, tolerance=0.02, reason="the network truncates to 8 bits")


class Truncating(nn.Module):
    """An image in steps of 8 bits. The thresholds lie `shift` steps higher, which a checkpoint may say."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        return torch.floor((image + 1) * 127.5 - self.get_buffer("shift")) / 127.5 - 1


class Doubtful(nn.Module):
    """An image as it is, of which the first rows are `jump` brighter."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.register_buffer("jump", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        bright = torch.arange(image.shape[-2]) < self.rows
        return image + self.get_buffer("jump") * bright[:, None]


def graph_of(module: nn.Module, outliers: OutlierTolerance | None = FEW) -> ResolvedGraph:
    image = {"image": Form((Axis("batch", 2), 3, 100, 20), "image")}
    return ResolvedGraph(
        module, ("made",), inputs=image, images=frozenset({"made"}), tolerance=TOLERANCE, outliers=outliers
    )


def moved(graph: ResolvedGraph, name: str, by: float, folder: Path) -> Measured:
    """The parity of a graph whose file was written with one buffer, and whose module has another."""
    buffer = graph.module.get_buffer(name)
    with torch.no_grad():
        buffer.add_(by)
    file = folder / write_graph(to_onnx("graph", graph), folder, "graph").file
    with torch.no_grad():
        buffer.sub_(by)
    return measure("graph", graph, file, TOLERANCE, threads=1)


def test_a_few_values_may_be_a_step_off(tmp_path: Path) -> None:
    """One row of a hundred is 0.01 off: that share is left out of the error, and told beside it."""
    measured = moved(graph_of(Doubtful(1)), "jump", 0.01, tmp_path)
    assert measured.relative <= TOLERANCE
    errors = [case.outlier_error for case in measured.cases]
    assert all(error is not None and 0.009 < error < 0.02 for error in errors)


def test_more_values_may_not(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differs from torch by 0\.01"):
        moved(graph_of(Doubtful(2)), "jump", 0.01, tmp_path)


def test_a_few_values_may_not_be_anywhere(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"single values differ from torch by 0\.05") as caught:
        moved(graph_of(Doubtful(1)), "jump", 0.05, tmp_path)
    assert caught.value.expected == "at most 0.02 for a share of 0.015: the network truncates to 8 bits"


def test_no_value_may_without_leave(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differs from torch by 0\.01"):
        moved(graph_of(Doubtful(1), outliers=None), "jump", 0.01, tmp_path)


def test_a_graph_without_strays_has_no_such_figure(tmp_path: Path) -> None:
    measured = moved(graph_of(Doubtful(1), outliers=None), "jump", 0.0, tmp_path)
    assert {case.outlier_error for case in measured.cases} == {None}


def test_truncation_moves_few_values_by_a_rounding_error_and_all_by_half_a_step(tmp_path: Path) -> None:
    """What the leave is for: a threshold that lies a ten-thousandth of a step elsewhere catches values by chance."""
    graph = graph_of(Truncating(), replace(FEW, share=0.02))
    assert moved(graph, "shift", 1e-4, tmp_path).relative <= TOLERANCE
    with pytest.raises(ExportError, match="differs from torch"):
        moved(graph, "shift", 0.5, tmp_path)
