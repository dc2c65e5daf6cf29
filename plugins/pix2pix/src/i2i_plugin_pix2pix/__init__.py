"""pix2pix for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_pix2pix.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of pix2pix."""
    return (
        ModelCard(
            name="pix2pix",
            summary="translation learned from pairs (labels to photo, edges to object, map to satellite image); "
            "translates as the paper tests it, with the image's own statistics and dropout as noise, or "
            "deterministically with the training's running statistics: the two look different",
            paper=Paper(
                title="Image-to-Image Translation with Conditional Adversarial Networks",
                authors="Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros",
                year=2017,
                arxiv="1611.07004",
                code="https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' PyTorch release is under the two-clause BSD licence; its "
                "published weights come without terms of their own, and their training images have theirs.",
            ),
            operations=("translate",),
            presets=tuple(PRESETS),
            model="i2i_plugin_pix2pix.model:Pix2Pix",
            trainer="i2i_plugin_pix2pix.trainer:Pix2PixTrainer",
            official=OfficialFormatCard(
                format="i2i_plugin_pix2pix.official:JUNYANZ_FORMAT",
                marks=("model.model.1.model.", "model.10.conv_block."),
            ),
        ),
    )
