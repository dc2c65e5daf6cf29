"""Opens the data of a training, and names the models that would learn from data that do not fit this one."""

from __future__ import annotations

from pathlib import Path

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataSource
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.plugins.discovery import Registry


def open_data(trainer: AnyTrainer, root: Path, seed: int, registry: Registry) -> DataSource:
    """Open `trainer.layout`. Its LayoutError gains the names of the installed models that read such a folder."""
    try:
        return trainer.layout.open(root, seed)
    except LayoutError as error:
        fitting = [] if trainer.Layout.recognises(root) else models_for(root, registry)
        if not fitting:
            raise
        such = "such a folder" if root.is_dir() else "one image"
        names = f"installed models that learn from {such}: {', '.join(fitting)}"
        raise LayoutError(error.found, error.expected, f"{error.fix}; {names}") from error


def models_for(root: Path, registry: Registry) -> list[str]:
    """Return the models whose trainers learn from data laid out as those below `root`."""
    trainable = sorted(name for name, card in registry.models.items() if card.trainer)
    return [name for name in trainable if registry.trainer_class(name).Layout.recognises(root)]
