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
            summary="variations of a single image, in any size",
            paper=Paper(
                title="SinGAN: Learning a Generative Model from a Single Natural Image",
                authors="Tamar Rott Shaham, Tali Dekel, Tomer Michaeli",
                year=2019,
                arxiv="1905.01164",
            ),
            licence=Licence(spdx="Apache-2.0"),
            operations=("sample", "reconstruct"),
            presets=tuple(PRESETS),
            model="i2i_plugin_newpaper.model:NewPaper",
            trainer="i2i_plugin_newpaper.trainer:NewPaperTrainer",
        )
    ]
