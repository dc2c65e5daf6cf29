"""New Paper for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_registry import ModelCard, hookimpl
from i2i_runtime import Licence, Paper

from .config import PRESETS


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """The card of New Paper."""
    return [
        ModelCard(
            name="newpaper",
            summary="translation between any number of domains, in a look that is drawn or taken from an image",
            paper=Paper(
                title="StarGAN v2: Diverse Image Synthesis for Multiple Domains",
                authors="Yunjey Choi, Youngjung Uh, Jaejun Yoo, Jung-Woo Ha",
                year=2020,
                arxiv="1912.01865",
            ),
            licence=Licence(spdx="Apache-2.0"),
            operations=("translate", "translate_like", "encode"),
            presets=tuple(PRESETS),
            model="i2i_plugin_newpaper.model:NewPaper",
            trainer="i2i_plugin_newpaper.trainer:NewPaperTrainer",
        )
    ]
