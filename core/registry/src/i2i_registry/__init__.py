"""Interfaces, plugins and weights of image-to-image papers.

    import i2i_registry as registry

    plugins = registry.discover()
    model, card = registry.open_model(plugins, "ugatit")

Importing this loads neither torch nor any plugin; each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i_registry.cards import (
        INTERFACE_VERSION,
        CommandCard,
        ExporterCard,
        Imported,
        ImportedFile,
        ModelCard,
        Trained,
        WeightsCard,
        WeightsDraft,
    )
    from i2i_registry.discovery import Registry, build_registry, discover, resolve
    from i2i_registry.exporter import Exporter, ExportOptions, ExportReport
    from i2i_registry.hooks import hookimpl
    from i2i_registry.model import Axis, Drop, Graph, GraphInput, Model, OfficialFormat
    from i2i_registry.store import Store
    from i2i_registry.trainer import DataSource, Phase, Stage, Step, Trainer
    from i2i_registry.weights import load_into, open_model, save

_HOMES = {
    "cards": (
        "INTERFACE_VERSION",
        "CommandCard",
        "ExporterCard",
        "Imported",
        "ImportedFile",
        "ModelCard",
        "Trained",
        "WeightsCard",
        "WeightsDraft",
    ),
    "discovery": ("Registry", "build_registry", "discover", "resolve"),
    "exporter": ("ExportOptions", "ExportReport", "Exporter"),
    "hooks": ("hookimpl",),
    "model": ("Axis", "Drop", "Graph", "GraphInput", "Model", "OfficialFormat"),
    "store": ("Store",),
    "trainer": ("DataSource", "Phase", "Stage", "Step", "Trainer"),
    "weights": ("load_into", "open_model", "save"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - by subject
    "INTERFACE_VERSION",
    "CommandCard",
    "ExporterCard",
    "Imported",
    "ImportedFile",
    "ModelCard",
    "Trained",
    "WeightsCard",
    "WeightsDraft",
    "Registry",
    "build_registry",
    "discover",
    "resolve",
    "Exporter",
    "ExportOptions",
    "ExportReport",
    "hookimpl",
    "Axis",
    "Drop",
    "Graph",
    "GraphInput",
    "Model",
    "OfficialFormat",
    "Store",
    "DataSource",
    "Phase",
    "Stage",
    "Step",
    "Trainer",
    "load_into",
    "open_model",
    "save",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
