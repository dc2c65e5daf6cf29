"""The exported bundle is the model: measured, described, and free where it was declared free."""

from __future__ import annotations

from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.workbench import Exported
from i2i_registry.interfaces.exporter import Exporter
from i2i_registry.interfaces.graphs import Axis
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_runtime.records import Record


@promised("Model.graphs")
def check_parity(exported: Exported) -> None:
    """Every graph was measured at several batches and several sizes, and none missed its tolerance."""
    parity, graphs = exported.bundle.manifest.parity, resolved_graphs(exported.model)
    error, allowed = parity.closest()
    if not error <= allowed:
        raise ConformanceError(
            found=f"relative error {error:.1e}",
            expected=f"at most {allowed:.1e}",
            fix="the exporter should have refused this; report it with the bundle's manifest",
        )
    for name, graph in graphs.items():
        cases = [case for case in parity.cases if case.graph == name]
        batches = {case.batch for case in cases}
        sizes = {(case.height, case.width) for case in cases}
        has_free_sides = any(isinstance(axis, Axis) for form in graph.inputs.values() for axis in form.axes[1:])
        if len(batches) < 2 or (has_free_sides and len(sizes) < 2):
            raise ConformanceError(
                found=f"graph {name!r} was measured at batches {sorted(batches)} and sizes {sorted(sizes)}",
                expected="two batches or more, and two sizes or more where sides are free",
                fix="make the first axis of every value between graphs BATCH",
            )


@promised("Model.graphs")
def check_manifest(exported: Exported) -> None:
    """The bundle's manifest says what the model says, and its graphs have the declared axes."""
    manifest, model = exported.bundle.manifest, exported.model
    for what, found, expected in (
        ("model", manifest.model, model.name),
        ("operations", manifest.operations, model.operations()),
        ("config", type(model.config).model_validate(manifest.config), model.config),
        ("weights", manifest.weights.sha256, exported.weights.sha256),
        ("graphs", set(manifest.graphs), set(model.graphs())),
    ):
        if found != expected:
            raise ConformanceError(f"the manifest's {what}: {found}", expected=str(expected))
    for name, graph in resolved_graphs(model).items():
        files = {spec.name: spec for spec in manifest.graphs[name].inputs}
        for tensor, form in graph.inputs.items():
            _check_axes(name, tensor, form.axes, files[tensor].shape)


@promised("Model.graphs")
def check_verify(exported: Exported, exporter: Exporter, model: Model[Record]) -> None:
    """`verify` measures the bundle again and finds it good."""
    again = exporter.verify(exported.artefact, model, lambda _line: None)
    error, allowed = again.closest()
    if error > allowed:
        raise ConformanceError(f"verify measures {error:.1e}", expected="what the export measured")


def _check_axes(graph: str, tensor: str, axes: tuple[int | Axis, ...], shape: tuple[int | str, ...]) -> None:
    for position, (axis, length) in enumerate(zip(axes, shape, strict=True)):
        if isinstance(axis, Axis) == isinstance(length, int):
            raise ConformanceError(
                found=f"axis {position} of {tensor!r} of graph {graph!r} is {length!r} in the bundle",
                expected=f"{axis!r}",
                fix="use x.shape only in ways that torch.export can keep symbolic, or give the input one size",
            )
