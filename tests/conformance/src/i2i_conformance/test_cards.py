"""What a plugin says about itself."""

from __future__ import annotations

from i2i_conformance.cases import ModelCase
from i2i_conformance.checks import cards, records


def test_a_plugin_is_installed(models: list[ModelCase]) -> None:
    assert models, "no i2i plugin with a model is installed here: pip install -e YOUR_PLUGIN"


def test_the_card_resolves(model_case: ModelCase) -> None:
    cards.check_card_resolves(model_case)


def test_the_card_says_what_the_class_says(model_case: ModelCase) -> None:
    cards.check_card_equals_class(model_case)


def test_the_card_informs_people(model_case: ModelCase) -> None:
    cards.check_card_informs(model_case)


def test_there_is_a_default_preset(model_case: ModelCase) -> None:
    cards.check_has_presets(model_case)
    records.check_default(model_case.model_class.Config)
