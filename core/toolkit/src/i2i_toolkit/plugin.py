"""What the toolkit adds to `i2i-registry`: the commands `train` and `keep`. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_registry.cards import CommandCard
from i2i_registry.hooks import hookimpl


@hookimpl
def i2i_commands() -> Sequence[CommandCard]:
    """Training, and what to do with a training that was stopped."""
    return (
        CommandCard(
            name="train",
            summary="Train a model on a folder of pictures, or go on with a run",
            command="i2i_toolkit.cli:train",
        ),
        CommandCard(
            name="keep",
            summary="Store the weights of a run that is not finished, as they are",
            command="i2i_toolkit.cli:keep",
        ),
    )
