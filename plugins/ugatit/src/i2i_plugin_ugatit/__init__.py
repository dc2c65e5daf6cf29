"""U-GAT-IT for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_ugatit.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, PaperScore, PresetExpectation, TrainingTime, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]

_KID_SOURCE = "table of the U-GAT-IT release, assets/kid.png"
_EXPECTATIONS = {
    "light": PresetExpectation(
        command="i2i-registry train ugatit --data FOLDER --as NAME",
        time=TrainingTime(seconds=13_500_000, step_seconds=13.5, machine="2 CPUs (AMD EPYC)"),
    ),
    "full": PresetExpectation(
        scores=tuple(
            PaperScore(metric="KID x 100", value=value, spread=spread, data=f"{data}, 256 pixels", source=_KID_SOURCE)
            for data, value, spread in (
                ("selfie2anime", 11.61, 0.57),
                ("horse2zebra", 7.06, 0.8),
                ("cat2dog", 7.07, 0.65),
            )
        ),
        command="i2i-registry train ugatit --data FOLDER --as NAME --preset full",
    ),
}


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of U-GAT-IT."""
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
            expectations=_EXPECTATIONS,
            model="i2i_plugin_ugatit.model:UGATIT",
            trainer="i2i_plugin_ugatit.trainer:UGATITTrainer",
            official=OfficialFormatCard(
                format="i2i_plugin_ugatit.official:ZNXLWM_FORMAT", marks=("genA2B.DownBlock.",)
            ),
        ),
    )
