"""StarGAN v2 for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_stargan2.config import PRESETS
from i2i_registry import ModelCard, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """The card of StarGAN v2."""
    return (
        ModelCard(
            name="stargan2",
            summary="translation between any number of domains, in a style from a seed or from another image",
            paper=Paper(
                title="StarGAN v2: Diverse Image Synthesis for Multiple Domains",
                authors="Yunjey Choi, Youngjung Uh, Jaejun Yoo, Jung-Woo Ha",
                year=2020,
                arxiv="1912.01865",
                code="https://github.com/clovaai/stargan-v2",
            ),
            licence=Licence(
                spdx="Apache-2.0",
                notes="Written from the paper. The authors' code, weights and AFHQ images are CC BY-NC 4.0: what is "
                "imported from their checkpoints stays non-commercial.",
            ),
            operations=("translate", "translate_like", "encode"),
            presets=tuple(PRESETS),
            model="i2i_plugin_stargan2.model:StarGAN2",
            trainer="i2i_plugin_stargan2.trainer:StarGAN2Trainer",
        ),
    )
