"""Checkpoints of the official implementation. Skipped for papers whose plugin imports none."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_conformance.cases import PresetCase
from i2i_conformance.checks import official as checks
from i2i_registry.interfaces.official import OfficialFormat
from i2i_runtime.records import Record


@pytest.fixture
def official(config_case: PresetCase) -> OfficialFormat[Record]:
    """The model's official format."""
    found = config_case.model.registry.official_format(config_case.model.name)
    if found is None:
        pytest.skip(f"{config_case.model} declares no official checkpoint format")
    return found


def test_its_checkpoints_are_recognised_and_no_others(
    config_case: PresetCase, official: OfficialFormat[Record]
) -> None:
    case = config_case.model
    checks.check_recognition(config_case, official, checks.external_shapes(case.registry, case))


def test_the_config_is_inferred_from_shapes(config_case: PresetCase, official: OfficialFormat[Record]) -> None:
    checks.check_inferred_config(config_case, official)


def test_the_key_map_is_total(config_case: PresetCase, official: OfficialFormat[Record], tmp_path: Path) -> None:
    checks.check_total_map(config_case, official, tmp_path)


def test_damaged_checkpoints_are_refused_by_name(
    config_case: PresetCase, official: OfficialFormat[Record], tmp_path: Path
) -> None:
    checks.check_refuses_damage(config_case, official, tmp_path)


def test_weights_are_the_same_after_an_export_in_the_official_form(
    config_case: PresetCase, official: OfficialFormat[Record], tmp_path: Path
) -> None:
    del official  # a model without one has nothing to write
    checks.check_round_trip(config_case, tmp_path)
