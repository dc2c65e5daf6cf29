"""BicycleGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_bicyclegan.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, PresetExpectation, TrainingTime, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]

_EXPECTATIONS = {
    "bicyclegan": PresetExpectation(
        command="i2i-registry train bicyclegan --data FOLDER --as NAME",
        time=TrainingTime(seconds=144_000, step_seconds=1.8, machine="2 CPUs (AMD EPYC)"),
    ),
}


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of BicycleGAN."""
    return (
        ModelCard(
            name="bicyclegan",
            summary="paired translation with many results for one image, chosen by a seed or by an example",
            paper=Paper(
                title="Toward Multimodal Image-to-Image Translation",
                authors="Jun-Yan Zhu, Richard Zhang, Deepak Pathak, Trevor Darrell, Alexei A. Efros, Oliver Wang, "
                "Eli Shechtman",
                year=2017,
                arxiv="1711.11586",
                code="https://github.com/junyanz/BicycleGAN",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' release is BSD-2-Clause; its weights carry no licence of "
                "their own, and the data sets that they were trained on have their own terms.",
            ),
            operations=("translate", "translate_like", "encode"),
            presets=tuple(PRESETS),
            expectations=_EXPECTATIONS,
            model="i2i_plugin_bicyclegan.model:BicycleGAN",
            trainer="i2i_plugin_bicyclegan.trainer:BicycleGANTrainer",
            official=OfficialFormatCard(
                format="i2i_plugin_bicyclegan.official:RELEASE_FORMAT",
                marks=("model.down.0.", "model.model.1.model.", "fc.0.", "fcVar.0."),
            ),
        ),
    )
