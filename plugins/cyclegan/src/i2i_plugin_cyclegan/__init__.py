"""CycleGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_cyclegan.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, PaperScore, PresetExpectation, TrainingTime, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]

_KID_SOURCE = "table of the U-GAT-IT release, assets/kid.png"
_EXPECTATIONS = {
    "resnet_9blocks": PresetExpectation(
        scores=tuple(
            PaperScore(metric="KID x 100", value=value, spread=spread, data=f"{data}, 256 pixels", source=_KID_SOURCE)
            for data, value, spread in (
                ("selfie2anime", 13.08, 0.49),
                ("horse2zebra", 8.05, 0.72),
                ("cat2dog", 8.92, 0.69),
            )
        ),
        command="i2i-registry train cyclegan --data FOLDER --as NAME",
        time=TrainingTime(seconds=2_161_080, step_seconds=8.1, machine="2 CPUs (AMD EPYC)"),
    ),
}


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of CycleGAN."""
    return (
        ModelCard(
            name="cyclegan",
            summary="unpaired translation between two domains; changes colours and textures, keeps shapes",
            paper=Paper(
                title="Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
                authors="Jun-Yan Zhu, Taesung Park, Phillip Isola, Alexei A. Efros",
                year=2017,
                arxiv="1703.10593",
                code="https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' PyTorch release is under the two-clause BSD licence; its "
                "published weights come without terms of their own, and their training images have theirs.",
            ),
            operations=("translate",),
            presets=tuple(PRESETS),
            expectations=_EXPECTATIONS,
            model="i2i_plugin_cyclegan.model:CycleGAN",
            trainer="i2i_plugin_cyclegan.trainer:CycleGANTrainer",
            official=OfficialFormatCard(
                format="i2i_plugin_cyclegan.official:JUNYANZ_FORMAT",
                marks=("model.model.1.model.", "model.10.conv_block."),
            ),
        ),
    )
