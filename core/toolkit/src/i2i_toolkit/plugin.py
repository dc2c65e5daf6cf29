"""What the toolkit adds to `i2i-registry`: training, measures and new plugins. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_registry.interfaces.cards import CommandCard
from i2i_registry.plugins.hooks import hookimpl


@hookimpl
def i2i_commands() -> Sequence[CommandCard]:
    """Training, saving what a stopped one has come to, measures of what a model makes, and new plugins."""
    return (
        CommandCard(
            name="train",
            summary="Train a model on a folder of images, or go on with a run",
            command="i2i_toolkit.cli.train:train",
        ),
        CommandCard(
            name="save",
            summary="Save the weights of a run that is not finished, as they are",
            command="i2i_toolkit.cli.train:save_run",
        ),
        CommandCard(
            name="measure",
            summary="Measure samples of a one-image model: diversity, and SIFID",
            command="i2i_toolkit.cli.measure:measure",
        ),
        CommandCard(
            name="new-plugin",
            summary="Write a small plugin that works, to turn into one for your paper",
            command="i2i_toolkit.cli.new_plugin:new_plugin",
        ),
    )
