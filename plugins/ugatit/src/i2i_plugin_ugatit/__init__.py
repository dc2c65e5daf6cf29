"""U-GAT-IT for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_ugatit.config import PRESETS
from i2i_registry import ModelCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """The card of U-GAT-IT."""
    return (
        ModelCard(
            name="ugatit",
            summary="unpaired translation between two domains, with attention; changes shapes, not only textures",
            paper=Paper(
                title="U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance "
                "Normalization for Image-to-Image Translation",
                authors="Junho Kim, Minjae Kim, Hyeonwoo Kang, Kwanghee Lee",
                year=2020,
                arxiv="1907.10830",
                code="https://github.com/znxlwm/UGATIT-pytorch",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' PyTorch release is MIT and comes without weights.",
            ),
            operations=("translate",),
            presets=tuple(PRESETS),
            model="i2i_plugin_ugatit.model:UGATIT",
            trainer="i2i_plugin_ugatit.trainer:UGATITTrainer",
        ),
    )
