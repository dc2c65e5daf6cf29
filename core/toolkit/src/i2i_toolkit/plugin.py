"""What the toolkit adds to `i2i-registry`: the command `train`. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_registry.cards import CommandCard
from i2i_registry.hooks import hookimpl


@hookimpl
def i2i_commands() -> Sequence[CommandCard]:
    """The command `train`."""
    return (
        CommandCard(
            name="train",
            summary="Train a model on a folder of pictures, or go on with a run",
            command="i2i_toolkit.cli:train",
        ),
    )
