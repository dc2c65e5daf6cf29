"""A plugin as light as they should be: cards, and where the heavy parts lie."""

from __future__ import annotations

from i2i_registry.interfaces.cards import INTERFACE_VERSION, ExporterCard, ModelCard, OfficialFormatCard
from i2i_registry.plugins.hooks import hookimpl
from i2i_runtime.attribution import Licence, Paper

CARD = ModelCard(
    name="toy",
    summary="One convolution",
    paper=Paper(title="A toy", authors="Nobody", year=2024),
    licence=Licence(spdx="CC0-1.0"),
    operations=("translate",),
    presets=("default",),
    model="toy_paper:Toy",
    official=OfficialFormatCard(format="toy_paper:TOY_FORMAT", marks=("conv.weight",)),
    interface=INTERFACE_VERSION,
)


@hookimpl
def i2i_models() -> tuple[ModelCard, ...]:
    return (CARD,)


@hookimpl
def i2i_exporters() -> tuple[ExporterCard, ...]:
    return (ExporterCard(name="onnx", summary="A bundle", exporter="toy_exporter:ToyExporter"),)
