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
            summary="translation between two domains, learned without pairs",
            paper=Paper(
                title="Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
                authors="Jun-Yan Zhu, Taesung Park, Phillip Isola, Alexei A. Efros",
                year=2017,
                arxiv="1703.10593",
            ),
            licence=Licence(spdx="Apache-2.0"),
            operations=("translate",),
            presets=tuple(PRESETS),
            model="i2i_plugin_newpaper.model:NewPaper",
            trainer="i2i_plugin_newpaper.trainer:NewPaperTrainer",
        )
    ]
