"""Training of each shrunk Config by the real engine. Skipped for models that only run."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_conformance.cases import ModelCase, PresetCase
from i2i_conformance.checks import records, resuming, training
from i2i_conformance.training import shrunk_options
from i2i_conformance.workbench import Workbench


@pytest.fixture(autouse=True)
def needs_trainer(request: pytest.FixtureRequest) -> None:
    """Models without a trainer are complete: they are imported and run."""
    name = next(name for name in ("model_case", "preset_case", "training_case") if name in request.fixturenames)
    case: ModelCase | PresetCase = request.getfixturevalue(name)
    model = case.model if isinstance(case, PresetCase) else case
    if model.card.trainer is None:
        pytest.skip(f"{model} has no trainer: its card says that it is only imported and run")


def test_options_are_a_frozen_strict_record(model_case: ModelCase) -> None:
    trainer_class = model_case.trainer_class
    assert trainer_class is not None
    records.check_default(trainer_class.Options)
    records.check_record(trainer_class.Options())
    records.check_record(shrunk_options(trainer_class, model_case.presets[0].preset))


def test_options_are_those_of_presets(model_case: ModelCase) -> None:
    training.check_presets(model_case)


def test_config_and_options_share_no_name(model_case: ModelCase) -> None:
    trainer_class = model_case.trainer_class
    assert trainer_class is not None
    records.check_names_differ(model_case.model_class, trainer_class)


def test_the_training_networks_build_at_the_papers_size(preset_case: PresetCase) -> None:
    training.check_builds_in_full(preset_case)


def test_a_short_training_has_a_rate_above_zero(preset_case: PresetCase) -> None:
    training.check_a_short_training_learns(preset_case)


def test_a_sample_is_a_function_of_its_position(training_case: PresetCase, workbench: Workbench) -> None:
    training.check_dataset(workbench.recipe(training_case).build_trainer(), workbench.data(training_case))


def test_a_wrong_folder_is_refused(training_case: PresetCase, workbench: Workbench, tmp_path: Path) -> None:
    training.check_refuses_wrong_folder(workbench.recipe(training_case).build_trainer(), tmp_path)


def test_the_layout_is_what_its_name_says(training_case: PresetCase, workbench: Workbench) -> None:
    training.check_layout(workbench.recipe(training_case).build_trainer(), workbench.data(training_case))


def test_training_and_operation_use_one_value_range(training_case: PresetCase, workbench: Workbench) -> None:
    trainer = workbench.recipe(training_case).build_trainer()
    training.check_images_share_a_range(trainer, trainer.layout.open(workbench.data(training_case), 0))


def test_sample_images_are_images(training_case: PresetCase, workbench: Workbench) -> None:
    trainer = workbench.recipe(training_case).build_trainer()
    training.check_preview(trainer, trainer.layout.open(workbench.data(training_case), 0))


def test_it_trains(training_case: PresetCase, workbench: Workbench) -> None:
    training.check_networks_do_not_grow(workbench.training(training_case))
    training.check_trains(workbench.recipe(training_case), workbench.training(training_case))


def test_gradients_reach_every_parameter(training_case: PresetCase, workbench: Workbench) -> None:
    training.check_gradients(workbench.training(training_case))


def test_every_option_changes_something(model_case: ModelCase, workbench: Workbench) -> None:
    training.check_every_option_matters(model_case, workbench.recipe(model_case.presets[0]))


def test_killed_between_phases_it_ends_bit_equal(
    training_case: PresetCase, workbench: Workbench, tmp_path: Path
) -> None:
    resuming.check_survives_kills(workbench.recipe(training_case), workbench.training(training_case), tmp_path)
