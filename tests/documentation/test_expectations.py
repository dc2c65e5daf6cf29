"""What a plugin's README says to expect of its presets is what its card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_registry import ModelCard, discover

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
CARDS = [card for card in discover().models.values() if card.expectations]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_readme_says_what_to_expect_as_the_card_does(card: ModelCard) -> None:
    readme = (PLUGINS / card.name / "README.md").read_text(encoding="utf-8")
    for preset, expectation in card.expectations.items():
        assert "\n".join([f"`{preset}`", "", *(f"    {line}" for line in expectation.lines())]) in readme


def test_whose_scores_were_read_in_their_releases_say_them() -> None:
    """The tables of the releases of U-GAT-IT (KID x 100, selfie2anime) and StarGAN v2 (FID, AFHQ)."""
    scores = {
        (card.name, score.metric, score.data): score.value
        for card in CARDS
        for expectation in card.expectations.values()
        for score in expectation.scores
    }
    assert scores["ugatit", "KID x 100", "selfie2anime, 256 pixels"] == 11.61
    assert scores["stargan2", "FID, styles drawn", "AFHQ, 256 pixels"] == 16.18
