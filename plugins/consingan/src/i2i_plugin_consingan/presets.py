"""The paper's settings for each task, and a quick one: a Config and the Options that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.options import Options

PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "generation": Config(),
        "retarget": Config(mode="retarget"),
        "harmonization": Config(mode="harmonization", stages=3, coarsest=120, slope=0.3, batch_norm=True),
        "editing": Config(mode="editing", batch_norm=True),
        "animation": Config(mode="animation", coarsest=20),
        "quick": Config(height=128, width=128, stages=5, channels=32, batch_norm=True),
    }
)
"""The first is the default."""

OPTIONS: Mapping[str, Options] = MappingProxyType(
    {
        "harmonization": Options(stage_steps=1000),
        "editing": Options(stage_steps=1000),
        "quick": Options(stage_steps=500, max_size=128),
    }
)
"""Those of the other presets are the defaults."""
