"""Tint for i2i-registry. Only the card lives here: importing this module never imports torch."""

from collections.abc import Sequence

from i2i_registry import ModelCard, hookimpl
from i2i_runtime import Licence, Paper


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of Tint."""
    return [
        ModelCard(
            name="tint",
            summary="gives images the colours of other images",
            paper=Paper(title="The smallest plugin", authors="the i2i-registry authors", year=2026),
            licence=Licence(spdx="Apache-2.0"),
            operations=("translate",),
            presets=("default",),
            model="i2i_plugin_toy.tint:Tint",
            trainer="i2i_plugin_toy.tint:TintTrainer",
        )
    ]
