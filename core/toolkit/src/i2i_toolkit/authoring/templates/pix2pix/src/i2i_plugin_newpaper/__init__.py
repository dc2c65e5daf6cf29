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
            summary="translation learned from pairs of images",
            paper=Paper(
                title="Image-to-Image Translation with Conditional Adversarial Networks",
                authors="Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros",
                year=2017,
                arxiv="1611.07004",
            ),
            licence=Licence(spdx="Apache-2.0"),
            operations=("translate",),
            presets=tuple(PRESETS),
            model="i2i_plugin_newpaper.model:NewPaper",
            trainer="i2i_plugin_newpaper.trainer:NewPaperTrainer",
        )
    ]
