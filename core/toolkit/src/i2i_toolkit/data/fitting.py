"""Opens the data of a training, and names the models that would learn from data that do not fit this one."""

from __future__ import annotations

from pathlib import Path

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.trainer import DataSource, Trainer
from i2i_registry.plugins.discovery import Registry
from i2i_runtime.schema.operations import Record
from i2i_toolkit.data.recognition import recognise


def open_data(trainer: Trainer[Record], root: Path, seed: int, registry: Registry) -> DataSource:
    """`trainer.dataset`. Its LayoutError gains the names of the installed models that read such a folder."""
    try:
        return trainer.dataset(root, seed)
    except LayoutError as error:
        layouts = recognise(root)
        fitting = [] if trainer.layout in layouts else models_of(registry, layouts)
        if not fitting:
            raise
        such = "such a folder" if root.is_dir() else "one image"
        names = f"installed models that learn from {such}: {', '.join(fitting)}"
        raise LayoutError(error.found, error.expected, f"{error.fix}; {names}") from error


def models_of(registry: Registry, layouts: frozenset[str]) -> list[str]:
    """The models whose trainers read one of these layouts."""
    trainable = sorted(name for name, card in registry.models.items() if card.trainer)
    return [name for name in trainable if registry.trainer_class(name).layout in layouts]
