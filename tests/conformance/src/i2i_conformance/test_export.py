"""Each shrunk model as an ONNX bundle, made by the exporter that is installed."""

from __future__ import annotations

from i2i_conformance.cases import PresetCase
from i2i_conformance.checks import export
from i2i_conformance.workbench import Workbench


def test_the_bundle_is_measured_against_torch(bundle_case: PresetCase, workbench: Workbench) -> None:
    export.check_parity(workbench.exported(bundle_case))


def test_the_manifest_says_what_the_model_says(bundle_case: PresetCase, workbench: Workbench) -> None:
    export.check_manifest(workbench.exported(bundle_case))


def test_verify_measures_the_same(bundle_case: PresetCase, workbench: Workbench) -> None:
    exported = workbench.exported(bundle_case)
    export.check_verify(exported, bundle_case.model.registry.exporter("onnx"), exported.model)
