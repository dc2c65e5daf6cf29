"""What can go wrong between a plugin, a checkpoint, the store and the command line.

I2IError (i2i_runtime)
├── UsageError
│   ├── UnknownName     no model, weights, exporter, preset or option of that name
│   └── LayoutError     a data folder is not laid out as the trainer needs it
├── PluginError         a plugin is broken, too old or too new, or shares its name with another
├── CheckpointError     an external checkpoint is hostile, unreadable, or of another model
├── StoreError          the local store or the catalogue is damaged or cannot be written
├── ExportError         an export failed, or missed its parity tolerance
└── TrainingError       a run cannot start, go on or resume

Each carries what was found, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from i2i_runtime.errors import I2IError, ImageError, UsageError, nearest


def concerns_all(error: I2IError) -> bool:
    """Whether an error met at one of many images would be met at every other: what was asked for is wrong."""
    return isinstance(error, UsageError) and not isinstance(error, ImageError)


class UnknownName(UsageError):  # noqa: N818 - reads as the sentence it raises
    """Nothing of that kind has that name."""

    @classmethod
    def among(cls, kind: str, name: str, choices: Iterable[str], fix: str = "") -> UnknownName:
        """`kind` in words ("model"), the wrong `name`, and what there is, nearest first."""
        return cls(found=f"no {kind} named {name!r}", expected=nearest(name, choices), fix=fix)


class LayoutError(UsageError):
    """A data folder is not laid out as the trainer needs it."""


class PluginError(I2IError):
    """A plugin is broken, speaks another interface version, or shares its name with another."""


class CheckpointError(I2IError):
    """An external checkpoint is hostile, unreadable, or belongs to another model."""


class StoreError(I2IError):
    """The store or the catalogue is damaged, or cannot be written."""


class ExportError(I2IError):
    """An export failed, or missed its parity tolerance; no bundle is left behind."""


class TrainingError(I2IError):
    """A training run cannot start, go on or resume."""
