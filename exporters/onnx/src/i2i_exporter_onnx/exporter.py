"""`i2i-registry export NAME --onnx`: every graph of a model as ONNX, measured, in one bundle."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from i2i_exporter_onnx import bundle, sizes
from i2i_exporter_onnx.half import to_half
from i2i_exporter_onnx.parity import Measured, measure, summary, tolerance_of
from i2i_exporter_onnx.rehearsal import rehearse
from i2i_exporter_onnx.same_structure import TracedGraph
from i2i_exporter_onnx.tracing import OPSET, to_onnx
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.exporter import Exporter, ExportOptions, ExportReport, TellProgress
from i2i_registry.interfaces.graphs import ResolvedGraph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_registry.weights.loading import save
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.device.cpus import thread_count
from i2i_runtime.device.memory import free_bytes
from i2i_runtime.errors import UsageError
from i2i_runtime.files.atomic import scratch_folder
from i2i_runtime.files.regular import sha256_of
from i2i_runtime.records import Record
from i2i_runtime.schema.graphs import GraphFile
from i2i_runtime.schema.manifest import Manifest, WeightsSource
from i2i_runtime.schema.operations import Operation
from i2i_runtime.schema.parity import Parity, Precision

DISTRIBUTIONS = ("i2i-exporter-onnx", "i2i-registry", "i2i-runtime")


class OnnxExporter(Exporter):
    """Bundles: one .onnx file per graph and a manifest, written only when graphs are exact and operations run."""

    name: ClassVar[str] = "onnx"

    def export(
        self,
        model: Model[Record],
        weights: WeightsCard,
        destination: Path,
        options: ExportOptions,
        tell: TellProgress,
    ) -> ExportReport:
        """Write a bundle folder; see `Exporter.export`."""
        plan = sizes.plan(resolved_graphs(model), model.operations(), options.size)
        sizes.check_memory(model.operations(), options.size, free_bytes())
        with bundle.appearing(destination) as folder:
            files: dict[str, GraphFile] = {}
            measured: dict[str, Measured] = {}
            traced: list[TracedGraph] = []
            for name, graph in plan.graphs.items():
                files[name] = _write(name, graph, folder, precision=options.precision, traced=traced, tell=tell)
                tolerance = tolerance_of(graph, options.precision)
                measured[name] = _measure(name, graph, folder / files[name].file, tolerance, tell)
            parity = summary(measured, _tolerances(plan.graphs, options.precision), options.precision)
            manifest = self._manifest(model, weights, options, operations=plan.operations, files=files, parity=parity)
            bundle.finish(folder, manifest)
            rehearse(folder, thread_count(), tell)
        return ExportReport(destination, parity)

    def verify(self, artefact: Path, model: Model[Record], tell: TellProgress) -> Parity:
        """Measure a bundle (a folder or a zip) against `model` again, at the sizes it records.

        Every graph has its own tolerance: what the bundle records of it, or the model's where that is less. Then every
        operation is run, as before a bundle is published.

        Raises BundleError when a hash differs, and ExportError when the bundle is of another model, another
        configuration or other weights, or when it misses its tolerance or cannot run.
        """
        opened = open_bundle(artefact)
        try:
            manifest = opened.manifest
            _require_same_model(manifest, model)
            graphs = sizes.as_exported(resolved_graphs(model), manifest.graphs)
            missing = sorted(graphs.keys() - opened.graphs.keys())
            if missing:
                raise UsageError(f"{artefact} is a lone graph", expected=f"the whole bundle, with {missing}")
            own = _tolerances(graphs, manifest.precision)
            tolerances = {name: min(manifest.parity.tolerance_of(name), own[name]) for name in graphs}
            measured: dict[str, Measured] = {}
            with scratch_folder() as folder:  # the bytes that were checked, where nobody exchanges them
                for name, graph in graphs.items():
                    file = folder / f"{name}.onnx"
                    file.write_bytes(opened.graphs[name].read())
                    measured[name] = _measure(name, graph, file, tolerances[name], tell)
                    file.unlink()
            rehearse(artefact, thread_count(), tell)
        except ExportError as error:
            raise _explained(error, opened.manifest, model) from error
        return summary(measured, tolerances, manifest.precision)

    def _manifest(
        self,
        model: Model[Record],
        weights: WeightsCard,
        options: ExportOptions,
        *,
        operations: tuple[Operation, ...],
        files: Mapping[str, GraphFile],
        parity: Parity,
    ) -> Manifest:
        origin = self.origins[model.name]
        try:
            return Manifest(
                name=weights.name,
                model=model.name,
                paper=origin.card.paper,
                model_licence=origin.card.licence,
                weights=WeightsSource(
                    name=weights.reference,
                    sha256=weights.sha256,
                    licence=weights.licence,
                    provenance=weights.provenance.sentence(),
                ),
                config=model.config.model_dump(mode="json"),
                precision=options.precision,
                opset=OPSET,
                operations=operations,
                graphs=dict(files),
                parity=parity,
                made_by={name: version(name) for name in DISTRIBUTIONS} | {origin.distribution: origin.version},
            )
        except ValidationError as error:
            raise ExportError(
                found=f"the operations of {model.name!r} do not fit its graphs: {error.errors()[0]['msg']}",
                expected="steps that feed every input of a graph and name its outputs",
                fix="this is a fault of the plugin: correct operations() or graphs()",
            ) from error


def _require_same_model(manifest: Manifest, model: Model[Record]) -> None:
    """Raise ExportError when the bundle was made from another model or configuration."""
    given = {"model": model.name, **model.config.model_dump(mode="json")}
    recorded = {"model": manifest.model, **manifest.config}
    different = [
        f"{key} = {recorded.get(key)!r} in the bundle, {given.get(key)!r} given"
        for key in sorted(given.keys() | recorded.keys())
        if given.get(key) != recorded.get(key)
    ]
    if different:
        raise ExportError(
            found=f"the bundle {manifest.name!r} is of another model or configuration: {'; '.join(different)}",
            expected=f"the weights it was made from: {manifest.weights.name}",
            fix=f"i2i-registry verify BUNDLE --against {manifest.weights.name}",
        )


def _explained(error: ExportError, manifest: Manifest, model: Model[Record]) -> ExportError:
    """Return the same error; when other weights explain it, it says so."""
    given = _hash_of(model)
    if given == manifest.weights.sha256 or "another model" in error.found:
        return error
    return ExportError(
        found=f"{error.found}; the weights given (sha256 {given[:12]}) are not those the bundle records "
        f"({manifest.weights.name}, sha256 {manifest.weights.sha256[:12]})",
        expected=error.expected,
        fix=f"i2i-registry verify BUNDLE --against {manifest.weights.name}",
    )


def _hash_of(model: Model[Record]) -> str:
    """Return the SHA-256 that the model's weights have as a file of the store."""
    with scratch_folder() as folder:
        path = folder / "weights.safetensors"
        save(model, path)
        return sha256_of(path)


def _write(
    name: str,
    graph: ResolvedGraph,
    folder: Path,
    *,
    precision: Precision,
    traced: list[TracedGraph],
    tell: TellProgress,
) -> GraphFile:
    started = time.monotonic()
    tell(f"{name}: tracing")
    onnx_model = to_onnx(name, graph, traced)
    if precision == "fp16":
        to_half(onnx_model, name)
    file = bundle.write_graph(onnx_model, folder, name)
    size = (folder / file.file).stat().st_size
    tell(f"{name}: {size / 1e6:.1f} MB of ONNX in {time.monotonic() - started:.1f} s")
    return file


def _measure(name: str, graph: ResolvedGraph, file: Path, tolerance: float, tell: TellProgress) -> Measured:
    tell(f"{name}: comparing onnxruntime with torch")
    measured = measure(name, graph, file, tolerance, thread_count())
    steps = f", {measured.levels:.2g} steps of 8 bits" if measured.levels is not None else ""
    tell(f"{name}: largest error {measured.relative:.1e} of the largest value{steps}, allowed {tolerance:g}")
    return measured


def _tolerances(graphs: Mapping[str, ResolvedGraph], precision: Precision) -> dict[str, float]:
    return {name: tolerance_of(graph, precision) for name, graph in graphs.items()}
