"""Checkpoints of the official implementation. Skipped for papers whose plugin imports none."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_conformance.cases import PresetCase
from i2i_conformance.checks import official as checks
from i2i_registry.interfaces.model import OfficialFormat


@pytest.fixture
def official(config_case: PresetCase) -> OfficialFormat:
    """The model's official format."""
    found = config_case.model.model_class.official
    if found is None:
        pytest.skip(f"{config_case.model} declares no official checkpoint format")
    return found


def test_its_checkpoints_are_recognised_and_no_others(config_case: PresetCase, official: OfficialFormat) -> None:
    case = config_case.model
    checks.check_recognition(config_case, official, checks.external_shapes(case.registry, case))


def test_the_config_is_inferred_from_shapes(config_case: PresetCase, official: OfficialFormat) -> None:
    checks.check_inferred_config(config_case, official)


def test_the_key_map_is_total(config_case: PresetCase, official: OfficialFormat, tmp_path: Path) -> None:
    checks.check_total_map(config_case, official, tmp_path)


def test_damaged_checkpoints_are_refused_by_name(
    config_case: PresetCase, official: OfficialFormat, tmp_path: Path
) -> None:
    checks.check_refuses_damage(config_case, official, tmp_path)
