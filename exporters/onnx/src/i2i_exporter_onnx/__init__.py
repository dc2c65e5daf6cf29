"""ONNX bundles for i2i-registry: every graph exported, measured against torch, and described by one manifest.

Importing this package loads neither torch nor onnx; `OnnxExporter` does when it is first touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from i2i_registry.interfaces.cards import ExporterCard
from i2i_registry.plugins.hooks import hookimpl

if TYPE_CHECKING:
    from i2i_exporter_onnx.exporter import OnnxExporter

__all__ = ["OnnxExporter", "i2i_exporters"]


@hookimpl
def i2i_exporters() -> Sequence[ExporterCard]:
    """Return the one format this distribution brings."""
    return [
        ExporterCard(
            name="onnx",
            summary="a bundle of ONNX graphs that runs without torch, with its parity measured",
            exporter="i2i_exporter_onnx.exporter:OnnxExporter",
        )
    ]


def __getattr__(name: str) -> object:
    if name == "OnnxExporter":
        return import_module("i2i_exporter_onnx.exporter").OnnxExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
