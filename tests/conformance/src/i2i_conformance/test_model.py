"""A model at each of its presets."""

from __future__ import annotations

from pathlib import Path

from i2i_conformance.cases import ModelCase, PresetCase
from i2i_conformance.checks import records, structure, weights
from i2i_registry.interfaces.resolved_graphs import resolved_graphs


def test_the_preset_is_a_frozen_strict_record(preset_case: PresetCase) -> None:
    records.check_record(preset_case.full_config)


def test_the_preset_builds_at_the_papers_size(preset_case: PresetCase) -> None:
    structure.check_builds_in_full(preset_case)


def test_the_shrunk_preset_has_the_same_structure(preset_case: PresetCase) -> None:
    structure.check_shrunk_keeps_structure(preset_case)


def test_graphs_run_as_declared(config_case: PresetCase) -> None:
    for name, graph in resolved_graphs(config_case.build()).items():
        structure.check_graph_runs(name, graph)


def test_the_operations_fit_the_graphs(preset_case: PresetCase) -> None:
    for model in (preset_case.build(), preset_case.build_on_meta()):
        for operation in model.operations():
            structure.check_wiring(model, operation)


def test_every_config_field_changes_something(model_case: ModelCase) -> None:
    structure.check_every_config_field_matters(model_case.presets)


def test_every_config_that_is_accepted_can_be_exported(model_case: ModelCase) -> None:
    structure.check_every_config_can_be_exported(model_case.presets[0])


def test_one_seed_gives_one_model(config_case: PresetCase) -> None:
    weights.check_seed_decides(config_case)


def test_weights_survive_the_disk_bit_by_bit(config_case: PresetCase, tmp_path: Path) -> None:
    weights.check_round_trip(config_case, tmp_path)
