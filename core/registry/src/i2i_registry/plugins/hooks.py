"""The hooks a distribution may implement, in the entry-point group `i2i`.

An implementation must be light: it returns cards, and whatever is heavy stays behind an "module:name" string in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from i2i_registry.interfaces.cards import CommandCard, ExporterCard, ModelCard

GROUP = "i2i"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def i2i_models() -> Sequence[ModelCard]:  # pyright: ignore[reportReturnType]
    """Papers this distribution brings."""


@hookspec
def i2i_exporters() -> Sequence[ExporterCard]:  # pyright: ignore[reportReturnType]
    """Target formats this distribution brings."""


@hookspec
def i2i_commands() -> Sequence[CommandCard]:  # pyright: ignore[reportReturnType]
    """Commands this distribution adds to `i2i-registry`."""
