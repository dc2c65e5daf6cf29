"""The gate: a graph on disk, run by onnxruntime, against the model's own module in torch eager fp32."""

from __future__ import annotations

import platform
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from i2i_exporter_onnx.cases import Array, Case, cases, image_size, values
from i2i_exporter_onnx.half import with_rounding
from i2i_exporter_onnx.rewrites import outputs_of
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.evaluating import evaluating
from i2i_registry.interfaces.graphs import OutlierTolerance, ResolvedGraph
from i2i_runtime.device import providers as devices
from i2i_runtime.device.providers import failures
from i2i_runtime.files.atomic import scratch_folder
from i2i_runtime.schema.parity import Parity, ParityCase, Precision

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FP16_TOLERANCE = 2e-2
"""Relative. fp16 rounds each value by up to 4.9e-4 of itself, and some 20 to 40 roundings lie between image and
image: 4e-3 was measured on U-GAT-IT with random weights. 2e-2 of an image in [-1, 1] is 1.3 to 2.5 steps of 8 bits,
below what is seen."""
NUDGE = 1e-6
"""Change of the input that tells how much an output may differ where it misses the tolerance: some ten roundings of
fp32 at 1, a hundredth of a percent of an 8-bit step."""
SCATTER = 4
"""How many of the movements that follow from it an output may be off: difference and movement are two draws of one
noise, and their largest values scatter by a small factor. Photographs move the shipped networks by some 1e-4 of the
largest value at most, so that the tolerance is what counts; images of one colour by more than the value itself
where norms divide by almost nothing, and there no two machines agree."""
IMAGE_REACH = 1.0
"""Largest absolute value of an image in [-1, 1]."""
STEPS_PER_UNIT = 127.5
"""8-bit steps in a difference of 1 between images in [-1, 1]"""
REFERENCES: Mapping[Precision, str] = {
    "fp32": "torch eager, fp32, CPU",
    "fp16": "torch eager, fp32, CPU; onnxruntime with every fp16 value rounded",
}
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one graph."""

    cases: tuple[ParityCase, ...]
    levels: float | None
    """largest error of any image it gives, in 8-bit steps; None when it gives none"""

    @property
    def relative(self) -> float:
        """The largest relative error of any output, where the input determines it to the tolerance."""
        return max((case.relative for case in self.cases if case.sensitivity is None), default=0.0)


def tolerance_of(graph: ResolvedGraph, precision: Precision) -> float:
    """Return the relative error a graph may have: the model's own for fp32, ours for fp16."""
    return graph.tolerance if precision == "fp32" else max(graph.tolerance, FP16_TOLERANCE)


def measure(name: str, graph: ResolvedGraph, file: Path, tolerance: float, threads: int) -> Measured:
    """Run every case through the file and through the module.

    An fp16 graph runs in two forms, as it is and with every fp16 value rounded; the worse one counts.

    Raises ExportError at the first output that misses `tolerance` or is not finite, and when onnxruntime cannot run
    the file at all.
    """
    figures: list[ParityCase] = []
    levels: list[float] = []
    with _sessions(name, file, threads) as sessions, evaluating(graph.module), torch.no_grad():
        for case in cases(graph):
            rows = [_judged(graph, case, row, tolerance) for row in _compare(name, graph, sessions, case)]
            exact = [row for row in rows if row.sensitivity is None]
            moved = [row for row in rows if row.sensitivity is not None]
            figures += [max(group, key=lambda row: row.relative) for group in (exact, moved) if group]
            levels += [row.levels for row in exact if row.levels is not None]
    return Measured(tuple(figures), max(levels, default=None))


def _judged(graph: ResolvedGraph, case: Case, row: ParityCase, tolerance: float) -> ParityCase:
    """Return the row; with its sensitivity where only that lets it pass. Raises ExportError where nothing does."""
    if row.relative > tolerance:
        row = row.model_copy(update={"sensitivity": sensitivity(graph, case, row.output)})
    _require(row, tolerance)
    _require_near(row, graph.outliers, tolerance)
    return row


def summary(measured: Mapping[str, Measured], tolerances: Mapping[str, float], precision: Precision) -> Parity:
    """Return the record for the manifest; `tolerances` has one for each graph."""
    loosest = max(tolerances.values())
    levels = [graph.levels for graph in measured.values() if graph.levels is not None]
    return Parity(
        tolerance=loosest,
        tolerances={name: tolerance for name, tolerance in tolerances.items() if tolerance != loosest},
        relative=max(graph.relative for graph in measured.values()),
        levels=max(levels, default=None),
        reference=REFERENCES[precision],
        cases=tuple(case for graph in measured.values() for case in graph.cases),
        versions={
            "torch": torch.__version__,
            "onnx": version("onnx"),
            "onnxscript": version("onnxscript"),
            "onnxruntime": devices.onnxruntime().__version__,
            "python": platform.python_version(),
        },
    )


@contextmanager
def _sessions(name: str, file: Path, threads: int) -> Generator[tuple[InferenceSession, ...]]:
    """Give the file as it is, and, when it holds fp16 values, the form of it that shows their rounding."""
    given = _session(name, file, threads)
    model = ir.load(file)
    if not any(value.dtype == ir.DataType.FLOAT16 for node in model.graph for value in node.outputs):
        yield (given,)
        return
    with scratch_folder() as folder:
        rounding = folder / "rounding.onnx"
        ir.save(with_rounding(model), rounding, external_data="weights")
        yield given, _session(name, rounding, threads)


def _session(name: str, file: Path, threads: int) -> InferenceSession:
    options = devices.onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch wants the same CPUs in turn
    options.log_severity_level = 4  # what it would log, it also raises
    try:
        return devices.onnxruntime().InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except failures() as error:
        raise ExportError(
            found=f"onnxruntime cannot load graph {name!r}: {_first_line(error)}",
            expected="a graph that every provider can run",
            fix="this is a fault of the export: report it with the model's configuration",
        ) from error


def _compare(name: str, graph: ResolvedGraph, sessions: tuple[InferenceSession, ...], case: Case) -> list[ParityCase]:
    """One row for every session and output."""
    feeds = values(graph, case)
    expected = [_numpy(tensor) for tensor in outputs_of(graph.module, _tensors(feeds))]
    return [
        _row(name, graph, case, output, reference=reference, result=result)
        for session in sessions
        for output, reference, result in zip(
            graph.outputs, expected, _run(name, graph, session, case, feeds), strict=True
        )
    ]


def sensitivity(graph: ResolvedGraph, case: Case, output: str) -> float:
    """How far torch's output moves, relative to its largest value, when every input value is nudged at random.

    It is measured as the error is, without the few values that may be outliers. Whole numbers are exact on every
    machine and stay as they are: a graph may compare with them.
    """
    feeds = values(graph, case)
    random = np.random.default_rng(case.seed)
    nudged = {
        name: feeds[name]
        if form.values in {"index", "whole"}
        else feeds[name] + random.uniform(-NUDGE, NUDGE, feeds[name].shape).astype(np.float32)
        for name, form in graph.inputs.items()
    }
    index = graph.outputs.index(output)
    reference, moved = (_numpy(outputs_of(graph.module, _tensors(each))[index]) for each in (feeds, nudged))
    return _relative(_typical(graph, np.abs(reference - moved)), reference)


def _typical(graph: ResolvedGraph, errors: FloatArray) -> float:
    """Return the largest of the errors, but for the share that the graph lets be outliers."""
    if graph.outliers is None:
        return float(errors.max(initial=0))
    return float(np.quantile(errors, 1 - graph.outliers.share))


def _relative(error: float, reference: FloatArray) -> float:
    """To the largest value of the reference; the error itself where that is 0 everywhere."""
    return error / (float(np.abs(reference).max(initial=0)) or 1.0)


def _row(
    name: str, graph: ResolvedGraph, case: Case, output: str, *, reference: FloatArray, result: FloatArray
) -> ParityCase:
    where = f"graph {name!r}, output {output!r}, {_describe(graph, case)}"
    _require_sound(where, reference, result)
    height, width = image_size(graph, case)
    errors = np.abs(reference - result)
    error, outlier_error = _typical(graph, errors), None
    if graph.outliers is not None:
        furthest, largest = float(errors.max(initial=0)), float(np.abs(reference).max(initial=0))
        # A step of 8 bits is one of an image's whole range, however pale this one is.
        outlier_error = furthest / (max(largest, IMAGE_REACH if output in graph.images else 0.0) or 1.0)
    return ParityCase(
        graph=name,
        output=output,
        batch=case.batch,
        height=height,
        width=width,
        inputs=case.kind,
        max_abs=error,
        relative=_relative(error, reference),
        levels=error * STEPS_PER_UNIT if output in graph.images else None,
        outlier_error=outlier_error,
    )


def _run(
    name: str, graph: ResolvedGraph, session: InferenceSession, case: Case, feeds: Mapping[str, Array]
) -> list[FloatArray]:
    try:
        results = session.run(list(graph.outputs), dict(feeds))
    except failures() as error:
        raise ExportError(
            found=f"graph {name!r} fails in onnxruntime for {_describe(graph, case)}: {_first_line(error)}",
            expected="a graph that runs at every batch and size it declares",
            fix="something was frozen while tracing: take lengths from x.shape, no Python loop over the batch; or "
            "declare the axis as a number",
        ) from error
    return [np.asarray(result) for result in results]


def _require_sound(where: str, reference: FloatArray, result: FloatArray) -> None:
    if reference.shape != result.shape:
        raise ExportError(
            found=f"{where}: the shape is {result.shape}",
            expected=f"{reference.shape}, as in torch",
            fix="a size was frozen while tracing: take it from x.shape, or declare the axis as a number",
        )
    if not np.isfinite(reference).all():
        raise ExportError(
            found=f"{where}: torch itself gives values that are not finite",
            expected="a network that survives any image in its range",
            fix="train further, or guard the division or root that blows up",
        )
    if not np.isfinite(result).all():
        raise ExportError(
            found=f"{where}: onnxruntime gives values that are not finite, torch does not",
            expected="finite values",
            fix="--precision fp32 if this is fp16; otherwise report it with the model's configuration",
        )


def _require(case: ParityCase, tolerance: float) -> None:
    if case.relative <= max(tolerance, SCATTER * (case.sensitivity or 0.0)):
        return
    size = f", {case.height}x{case.width}" if case.height else ""
    steps = f" ({case.levels:.3g} steps of 8 bits)" if case.levels is not None else ""
    raise ExportError(
        found=f"graph {case.graph!r}, output {case.output!r}, batch {case.batch}{size}, {case.inputs}: onnxruntime "
        f"differs from torch by {case.relative:.3g} of the largest value{steps}",
        expected=f"at most {tolerance:g}",
        fix="the export is wrong for these inputs; find the layer and write it in an export-safe form",
    )


def _require_near(case: ParityCase, outliers: OutlierTolerance | None, tolerance: float) -> None:
    """Check that the few values that may miss the tolerance do not miss it by anything."""
    if outliers is None or case.outlier_error is None or case.outlier_error <= max(tolerance, outliers.tolerance):
        return
    raise ExportError(
        found=f"graph {case.graph!r}, output {case.output!r}, batch {case.batch}, {case.inputs}: single values differ "
        f"from torch by {case.outlier_error:.3g} of the largest",
        expected=f"at most {outliers.tolerance:g} for a share of {outliers.share:g}: {outliers.reason}",
        fix="the export is wrong for these inputs; find the layer and write it in an export-safe form",
    )


def _describe(graph: ResolvedGraph, case: Case) -> str:
    height, width = image_size(graph, case)
    return f"batch {case.batch}{f', {height}x{width}' if height else ''}, {case.kind}"


def _tensors(feeds: Mapping[str, Array]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(value) for value in feeds.values())


def _numpy(tensor: torch.Tensor) -> FloatArray:
    return tensor.detach().float().cpu().numpy()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
