"""InGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_ingan.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, PresetExpectation, TrainingTime, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]

_EXPECTATIONS = {
    "ingan": PresetExpectation(
        command="i2i-registry train ingan --data IMAGE --as NAME",
        time=TrainingTime(seconds=165_000, step_seconds=2.2, machine="2 CPUs (AMD EPYC)"),
    ),
}


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of InGAN."""
    return (
        ModelCard(
            name="ingan",
            summary="learns one image and retargets it to any size, aspect ratio or slanted shape: things in it keep "
            "their size, and the scene grows or shrinks",
            paper=Paper(
                title="InGAN: Capturing and Retargeting the 'DNA' of a Natural Image",
                authors="Assaf Shocher, Shai Bagon, Phillip Isola, Michal Irani",
                year=2019,
                arxiv="1812.00231",
                code="https://github.com/assafshocher/InGAN",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Our code is written from the paper and from facts about what the authors' code computes; no "
                "line of theirs is in it. Their code is under the Weizmann Institute's Academic Non Commercial "
                "Software Code License, and so are weights in their format that you import. The method may be covered "
                "by patents (commercial rights: Yeda): find out before you use it commercially.",
            ),
            operations=("retarget",),
            presets=tuple(PRESETS),
            expectations=_EXPECTATIONS,
            model="i2i_plugin_ingan.model:InGAN",
            trainer="i2i_plugin_ingan.trainer:InGANTrainer",
            official=OfficialFormatCard(format="i2i_plugin_ingan.official:INGAN_FORMAT", marks=("G.entry_block.1.",)),
        ),
    )
