"""A model at each of its presets."""

from __future__ import annotations

from pathlib import Path

from i2i_conformance.cases import ModelCase, OperationCase, PresetCase
from i2i_conformance.checks import records, structure, weights


def test_the_preset_is_a_frozen_strict_record(preset_case: PresetCase) -> None:
    records.check_record(preset_case.full_config)


def test_the_preset_builds_at_the_papers_size(preset_case: PresetCase) -> None:
    structure.check_builds_in_full(preset_case)


def test_the_shrunk_preset_has_the_same_structure(preset_case: PresetCase) -> None:
    structure.check_shrunk_keeps_structure(preset_case)


def test_graphs_run_as_declared(preset_case: PresetCase) -> None:
    for name, graph in preset_case.build().graphs().items():
        structure.check_graph_runs(name, graph)


def test_the_operation_fits_the_graphs(operation_case: OperationCase) -> None:
    for model in (operation_case.preset.build(), operation_case.preset.build_on_meta()):
        structure.check_wiring(model, operation_case.of(model))


def test_every_config_field_changes_something(model_case: ModelCase) -> None:
    structure.check_every_config_field_matters(model_case.presets)


def test_every_config_that_is_accepted_can_be_exported(model_case: ModelCase) -> None:
    structure.check_every_config_can_be_exported(model_case.presets[0])


def test_one_seed_gives_one_model(preset_case: PresetCase) -> None:
    weights.check_seed_decides(preset_case)


def test_weights_survive_the_disk_bit_by_bit(preset_case: PresetCase, tmp_path: Path) -> None:
    weights.check_round_trip(preset_case, tmp_path)
