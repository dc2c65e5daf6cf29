"""ConSinGAN for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_consingan.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of ConSinGAN."""
    return (
        ModelCard(
            name="consingan",
            summary="learns one image: variations of any size, pasted objects that fit in, rearranged images that "
            "look whole, short animations",
            paper=Paper(
                title="Improved Techniques for Training Single-Image GANs",
                authors="Tobias Hinz, Matthew Fisher, Oliver Wang, Stefan Wermter",
                year=2021,
                arxiv="2003.11512",
                code="https://github.com/tohinz/ConSinGAN",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' release is under the MIT licence. Weights can make the "
                "image again that they were trained on: its terms are theirs.",
            ),
            operations=("sample", "reconstruct", "harmonize", "edit", "animate"),
            presets=tuple(PRESETS),
            model="i2i_plugin_consingan.model:ConSinGAN",
            trainer="i2i_plugin_consingan.trainer:ConSinGANTrainer",
            official=OfficialFormatCard(
                format="i2i_plugin_consingan.official:CONSINGAN_FORMAT", marks=("body.0.block0.",)
            ),
        ),
    )
