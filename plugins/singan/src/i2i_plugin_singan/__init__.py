"""SinGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_singan.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of SinGAN."""
    return (
        ModelCard(
            name="singan",
            summary="learns from a single image: variations of it in any size, restyling of clip art, pasted objects "
            "and edits that fit in, super-resolution without data, short animations",
            paper=Paper(
                title="SinGAN: Learning a Generative Model from a Single Natural Image",
                authors="Tamar Rott Shaham, Tali Dekel, Tomer Michaeli",
                year=2019,
                arxiv="1905.01164",
                code="https://github.com/tamarott/SinGAN",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' release is under the MIT licence; it has no weights: every "
                "model belongs to one image, and is under that image's terms.",
            ),
            operations=("sample", "reconstruct", "paint", "harmonize", "edit", "super_resolve", "animate"),
            presets=tuple(PRESETS),
            model="i2i_plugin_singan.model:SinGAN",
            trainer="i2i_plugin_singan.trainer:SinGANTrainer",
            official=OfficialFormatCard(format="i2i_plugin_singan.official:OFFICIAL_FORMAT", marks=("body.block1.",)),
        ),
    )
