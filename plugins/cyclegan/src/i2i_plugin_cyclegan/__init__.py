"""CycleGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_cyclegan.config import PRESETS
from i2i_registry import ModelCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """The card of CycleGAN."""
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
            model="i2i_plugin_cyclegan.model:CycleGAN",
            trainer="i2i_plugin_cyclegan.trainer:CycleGANTrainer",
        ),
    )
