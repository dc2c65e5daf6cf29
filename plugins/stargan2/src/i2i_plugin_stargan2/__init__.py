"""StarGAN v2 for i2i-registry. Only the card lives here: importing this module never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_plugin_stargan2.config import PRESETS
from i2i_registry import ModelCard, OfficialFormatCard, PaperScore, PresetExpectation, hookimpl
from i2i_runtime import Licence, Paper

__all__ = ["i2i_models"]


def _scores(data: str, *figures: tuple[str, float, float]) -> tuple[PaperScore, ...]:
    source = "README of the release"
    return tuple(
        PaperScore(metric=metric, value=value, spread=spread, data=f"{data}, 256 pixels", source=source)
        for metric, value, spread in figures
    )


_EXPECTATIONS = {
    "afhq": PresetExpectation(
        scores=_scores(
            "AFHQ",
            ("FID, styles drawn", 16.18, 0.15),
            ("LPIPS, styles drawn", 0.4501, 0.0007),
            ("FID, styles of references", 19.78, 0.01),
            ("LPIPS, styles of references", 0.4315, 0.0002),
        ),
        command="i2i-registry train stargan2 --data FOLDER --as NAME",
    ),
    "celeba_hq": PresetExpectation(
        scores=_scores(
            "CelebA-HQ",
            ("FID, styles drawn", 13.73, 0.06),
            ("LPIPS, styles drawn", 0.4515, 0.0006),
            ("FID, styles of references", 23.84, 0.03),
            ("LPIPS, styles of references", 0.3880, 0.0001),
        ),
        command="i2i-registry train stargan2 --data FOLDER --as NAME --preset celeba_hq",
    ),
}


@hookimpl
def i2i_models() -> Sequence[ModelCard]:
    """Return the card of StarGAN v2."""
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
            expectations=_EXPECTATIONS,
            model="i2i_plugin_stargan2.model:StarGAN2",
            trainer="i2i_plugin_stargan2.trainer:StarGAN2Trainer",
            official=OfficialFormatCard(
                format="i2i_plugin_stargan2.official:CLOVA_FORMAT", marks=("mapping_network.",)
            ),
        ),
    )
