"""Every check fails for a plugin that breaks what it checks, and says so in words that help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2i_conformance.calls import Call, calls
from i2i_conformance.cases import ModelCase, OperationCase, PresetCase
from i2i_conformance.checks import (
    cards,
    dependencies,
    discovery,
    export,
    official,
    records,
    resuming,
    running,
    structure,
    training,
    weights,
)
from i2i_conformance.errors import ConformanceError
from i2i_conformance.training import train
from i2i_conformance.workbench import Exported, Workbench
from i2i_registry.errors import ExportError
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.interfaces.official import OfficialFormat
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_registry.plugins.discovery import discover
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import Operation


@pytest.fixture(autouse=True)
def broken_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variants can be imported, in this process and in those it starts."""
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The toy as it is, in a bundle; exported once."""
    folder = tmp_path_factory.mktemp("sound")
    return Workbench(folder, folder).exported(PresetCase(ModelCase(discover(), "tint"), "default"))


def toy(model: str = "Tint", trainer: str = "TintTrainer", **card: object) -> PresetCase:
    """The toy's preset, with classes of broken_toys in place of its own, in a registry of its own."""
    registry = discover()
    changed = {"model": f"broken_toys:{model}", "trainer": f"broken_toys:{trainer}", **card}
    models = {"tint": ModelCard.model_validate(registry.models["tint"].model_dump() | changed)}
    alone = replace(registry, models=models, sources={"tint": registry.sources["tint"]})
    return PresetCase(ModelCase(alone, "tint"), "default")


def operation_of(case: PresetCase) -> Operation:
    return OperationCase(case, "translate").of(case.build())


def trained(case: PresetCase, workbench: Workbench) -> None:
    training.check_trains(workbench.recipe(case), workbench.training(case))


# --- what a red test says ---------------------------------------------------------------------------------------------


def test_a_check_names_the_interface_and_where_it_is_explained() -> None:
    with pytest.raises(ConformanceError) as caught:
        cards.check_card_resolves(toy("Missing").model)
    assert caught.value.__notes__ == ["interface: ModelCard, docs/plugin-author.md#modelcard"]


def test_what_a_plugin_raises_by_itself_is_explained_as_well(workbench: Workbench) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        workbench.exported(toy("Unshrinkable"))
    assert caught.value.__notes__ == ["interface: Model.shrunk, docs/plugin-author.md#modelshrunk"]


# --- what is tested once ----------------------------------------------------------------------------------------------


def many(model: str) -> ModelCase:
    return toy(model, presets=("default", "large", "noted", "wide")).model


def test_presets_that_are_equal_when_shrunk_are_tested_once() -> None:
    assert [case.preset for case in many("ManyPresets").configs] == ["default", "noted", "wide"]


def test_presets_that_differ_in_their_training_only_are_each_trained() -> None:
    presets = ("default", "large", "noted", "wide")
    assert [case.preset for case in toy("ManyPresets", "HastyPreset", presets=presets).model.trainings] == list(presets)
    assert [case.preset for case in many("ManyPresets").trainings] == ["default", "noted", "wide"]


def test_a_training_that_fails_is_not_taken_for_dead_options(workbench: Workbench) -> None:
    case = toy(trainer="FailingTrainer")
    with pytest.raises(ValueError, match="step 1 fails"):
        training.check_every_option_matters(case.model, workbench.recipe(case))


def test_models_that_compute_the_same_are_exported_once() -> None:
    assert [case.preset for case in many("ManyPresets").bundles] == ["default", "wide"]


def test_presets_that_cannot_be_compared_are_all_tested() -> None:
    model = many("Unshrinkable")
    assert [case.preset for case in model.configs] == [case.preset for case in model.presets]
    assert [case.preset for case in model.bundles] == [case.preset for case in model.presets]
    assert [operation.name for operation in model.bundles[0].operations] == ["translate"]


# --- cards and discovery ----------------------------------------------------------------------------------------------


def test_a_card_that_names_nothing() -> None:
    with pytest.raises(ConformanceError, match="no attribute 'Missing'"):
        cards.check_card_resolves(toy("Missing").model)


def test_a_card_that_names_something_else() -> None:
    with pytest.raises(ConformanceError, match="class derived from Model"):
        cards.check_card_resolves(toy("TintTrainer").model)


def test_a_card_whose_official_format_is_a_class() -> None:
    with pytest.raises(ConformanceError, match="derived from OfficialFormat"):
        cards.check_card_resolves(toy(official={"format": "broken_toys:ReleaseOfToy", "marks": ["net."]}).model)


def test_a_card_that_promises_another_operation() -> None:
    with pytest.raises(ConformanceError, match="'sample'"):
        cards.check_card_equals_class(toy(operations=("sample",)).model)


def test_a_card_that_says_nothing() -> None:
    with pytest.raises(ConformanceError, match="summary is empty"):
        cards.check_card_informs(toy(summary="").model)


def test_a_plugin_that_loads_numpy_when_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hasty_plugin.py").write_text("import numpy\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConformanceError, match="importing hasty_plugin loads numpy"):
        discovery.check_discovery_is_light("hasty_plugin")


def test_a_plugin_that_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_plugin.py").write_text("sum(i * i for i in range(5_000_000))\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConformanceError, match=r"takes 0\.\d+ s"):
        discovery.check_discovery_is_light("slow_plugin")


def test_a_distribution_that_brings_its_own_framework() -> None:
    needs = ["i2i-toolkit[metrics]>=0.1", "numpy>=2", "pytest; extra == 'test'"]
    with pytest.raises(
        ConformanceError,
        match="depends on numpy>=2\n",
    ) as caught:
        dependencies.check_requirement_lines("i2i-plugin-own", needs)
    assert "pytest" not in str(caught.value)


def test_a_plugin_that_imports_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "leaning_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "model.py").write_text("def f():\n    from i2i_plugin_toy import tint\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConformanceError, match="imports i2i_plugin_toy, which is another plugin"):
        dependencies.check_imports_no_other_plugin("leaning_plugin", {"i2i_plugin_toy"})


# --- Config, Options, graphs ------------------------------------------------------------------------------------------


def test_a_config_field_that_does_nothing() -> None:
    with pytest.raises(ConformanceError, match="changing unused changes nothing"):
        structure.check_every_config_field_matters(toy("DeadField").model.presets)


def test_a_config_that_no_operation_allows() -> None:
    structure.check_every_config_can_be_exported(toy())
    with pytest.raises(ConformanceError, match=r"accepts image_size=\d+: .* breaks its own rule"):
        structure.check_every_config_can_be_exported(toy("Uneven"))


def test_an_option_that_does_nothing(workbench: Workbench) -> None:
    case = toy(trainer="DeadOption")
    with pytest.raises(ConformanceError, match="changing unused_weight changes nothing"):
        training.check_every_option_matters(case.model, workbench.recipe(case))


def test_a_name_in_config_and_options() -> None:
    case = toy(trainer="SharedName").model
    assert case.trainer_class is not None
    with pytest.raises(ConformanceError, match="both have image_size"):
        records.check_names_differ(case.model_class, case.trainer_class)


def test_a_network_of_the_trainer_with_the_name_of_the_models() -> None:
    with pytest.raises(ConformanceError, match="the trainer and the model have a network 'colours' each"):
        training.check_builds_in_full(toy(trainer="SharedNetwork"))


def test_a_graph_that_draws() -> None:
    with pytest.raises(ConformanceError, match="differs between two calls"):
        structure.check_graph_runs("tint", resolved_graphs(toy("NoisyGraph").build())["tint"])


def test_an_operation_that_feeds_another_range() -> None:
    case = toy("OtherRange")
    with pytest.raises(ConformanceError, match=r"value range \(0\.0, 1\.0\)"):
        structure.check_wiring(case.build(), operation_of(case))


def test_a_graph_whose_output_has_the_name_of_its_input() -> None:
    graph = replace(resolved_graphs(toy().build())["tint"], outputs=("image",))
    with pytest.raises(ConformanceError, match="different names"):
        structure.check_graph_runs("tint", graph)


def test_weights_that_do_not_tell_everything(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match="gives another tinted"):
        weights.check_round_trip(toy("Secretive"), tmp_path)


# --- training ---------------------------------------------------------------------------------------------------------


def test_parameters_that_no_gradient_reaches(workbench: Workbench) -> None:
    with pytest.raises(ConformanceError) as caught:
        training.check_gradients(workbench.training(toy("NoGradient")))
    assert "colours.spare got no gradient in any phase" in str(caught.value)
    assert "colours.muted got a gradient of exactly zero" in str(caught.value)


def test_a_schedule_that_a_short_training_does_not_survive() -> None:
    training.check_a_short_training_learns(toy())
    with pytest.raises(ConformanceError, match="nothing is learned"):
        training.check_a_short_training_learns(toy(trainer="Sluggish"))


def test_layers_that_come_after_the_optimizers(workbench: Workbench) -> None:
    with pytest.raises(ConformanceError, match=r"head\.layer\.bias \(and 1 more\) came into being"):
        training.check_networks_do_not_grow(workbench.training(toy(trainer="GrowingTrainer")))


def test_options_of_a_preset_that_is_not_there() -> None:
    training.check_presets(toy().model)
    with pytest.raises(ConformanceError, match="Options for 'tinnt'; the model has") as caught:
        training.check_presets(toy(trainer="MisnamedOptions").model)
    assert caught.value.expected == "one of: default"


def test_a_phase_that_never_runs(workbench: Workbench) -> None:
    with pytest.raises(ConformanceError, match="'lazy' runs every 16 steps"):
        trained(toy(trainer="NeverRuns"), workbench)


def test_samples_that_cannot_be_drawn_again(workbench: Workbench) -> None:
    case = toy(trainer="UnrepeatableData")
    with pytest.raises(ConformanceError, match="differs when it is drawn again"):
        training.check_dataset(workbench.recipe(case).build_trainer(), workbench.data(case))


def test_training_in_another_range_than_inference(workbench: Workbench) -> None:
    trainer = workbench.recipe(toy(trainer="OtherTrainingRange")).build_trainer()
    source = trainer.layout.open(workbench.data(toy()), 0)
    with pytest.raises(ConformanceError, match=r"training images lie in \[0"):
        training.check_images_share_a_range(trainer, source)


def test_a_layout_that_the_class_does_not_name(workbench: Workbench) -> None:
    case = toy(trainer="MisnamedLayout")
    with pytest.raises(ConformanceError, match="is PairedLayout, and the trainer's `layout` is a UnpairedLayout"):
        training.check_layout(workbench.recipe(case).build_trainer(), workbench.data(case))


def test_a_data_set_that_accepts_any_folder(workbench: Workbench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConformanceError, match="accepts a folder that is empty"):
        training.check_refuses_wrong_folder(workbench.recipe(toy(trainer="LateLayoutError")).build_trainer(), empty)


def test_state_that_dies_with_the_process(workbench: Workbench, tmp_path: Path) -> None:
    recipe = workbench.recipe(toy(trainer="ForgetfulTrainer"))
    with pytest.raises(ConformanceError, match="after kills and resumes"):
        resuming.check_survives_kills(recipe, train(recipe), tmp_path / "run")


def test_a_trainer_that_works_in_one_process_only(workbench: Workbench, tmp_path: Path) -> None:
    recipe = workbench.recipe(toy())
    training_seen = workbench.training(toy())
    with pytest.raises(ConformanceError, match="ended with 1"):
        resuming.check_survives_kills(replace(recipe, data=tmp_path / "gone"), training_seen, tmp_path / "run")


# --- export and run ---------------------------------------------------------------------------------------------------


def first_call(case: PresetCase) -> Call:
    return next(calls(operation_of(case)))


def test_an_axis_that_is_declared_free_and_is_not(workbench: Workbench) -> None:
    with pytest.raises((ConformanceError, ExportError), match="free"):
        export.check_parity(workbench.exported(toy("FrozenAxis")))


def test_a_minimum_that_is_too_small(sound: Exported) -> None:
    smallest = next(call for call in calls(operation_of(toy())) if call.size == (1, 1))
    with pytest.raises(ConformanceError, match="translate at 1x1, batch 1: torch fails"):
        running.check_runtime_equals_torch(toy("UntrueMinimum").build(), sound.bundle, smallest)


def test_images_that_depend_on_their_batch(workbench: Workbench) -> None:
    case = toy("BatchStatistics")
    exported = workbench.exported(case)
    with pytest.raises(ConformanceError, match="in a batch of 3 differs"):
        running.check_batch_invariance(exported.model, exported.bundle, operation_of(case))


def test_a_bundle_of_another_model(sound: Exported) -> None:
    with pytest.raises(ConformanceError, match="image differs by"):
        running.check_runtime_equals_torch(toy().build(seed=1), sound.bundle, first_call(toy()))


def test_images_scaled_otherwise_than_torch_has_them(sound: Exported) -> None:
    call = first_call(toy())
    outputs = tuple(output.model_copy(update={"value_range": (0.0, 1.0)}) for output in call.operation.outputs)
    wrong = replace(call, operation=call.operation.model_copy(update={"outputs": outputs}))
    with pytest.raises(ConformanceError, match="value_range"):
        running.check_runtime_equals_torch(sound.model, sound.bundle, wrong)


def test_a_manifest_that_says_something_else(sound: Exported) -> None:
    other = Exported(toy("Drawn").build(), sound.weights, sound.artefact)
    with pytest.raises(ConformanceError, match="the manifest's operations"):
        export.check_manifest(other)


def test_a_random_vector_is_accepted_when_it_is_used(workbench: Workbench) -> None:
    case = toy("Drawn")
    exported = workbench.exported(case)
    running.check_repeats(exported.bundle, operation_of(case))
    running.check_every_input_matters(exported.model, operation_of(case))
    for call in calls(operation_of(case)):
        running.check_runtime_equals_torch(exported.model, exported.bundle, call)


def test_a_random_vector_that_is_ignored(workbench: Workbench) -> None:
    case = toy("DeadLatent")
    exported = workbench.exported(case)
    with pytest.raises(ConformanceError, match="seeds 7 and 8 give the same outputs"):
        running.check_repeats(exported.bundle, operation_of(case))
    with pytest.raises(ConformanceError, match="changing the latent 'style' changes no output"):
        running.check_every_input_matters(exported.model, operation_of(case))


def test_sizes_and_walks_are_accepted_when_they_are_right(workbench: Workbench) -> None:
    case = toy("Wandering")
    exported = workbench.exported(case)
    for operation in exported.model.operations():
        running.check_refuses_small_results(exported.bundle, operation)
        running.check_animation(exported.bundle, operation)
        running.check_repeats(exported.bundle, operation)
        running.check_batch_invariance(exported.model, exported.bundle, operation)
        running.check_every_input_matters(exported.model, operation)
        for call in calls(operation):
            running.check_runtime_equals_torch(exported.model, exported.bundle, call)


def test_an_animation_that_stands_still(workbench: Workbench) -> None:
    exported = workbench.exported(toy("StandingStill"))
    with pytest.raises(ConformanceError, match="animations of two seeds, are equal"):
        running.check_animation(exported.bundle, OperationCase(toy("StandingStill"), "animate").of(exported.model))


def test_a_result_below_the_smallest_size(workbench: Workbench) -> None:
    """The bundle accepts 3 x 4, and what is declared begins at 5 x 6."""
    exported = workbench.exported(toy("Wandering"))
    operation = OperationCase(toy("Wandering"), "sample").of(exported.model)
    size, noise = operation.inputs
    later = size.model_copy(update={"minimum_height": 5, "minimum_width": 6})
    changed = operation.model_copy(update={"inputs": (later, noise)})
    with pytest.raises(ConformanceError, match="sample made a result of 4x5 pixels"):
        running.check_refuses_small_results(exported.bundle, changed)


# --- official checkpoints ---------------------------------------------------------------------------------------------


def released(name: str) -> tuple[PresetCase, OfficialFormat[Record]]:
    """The toy with one of the formats of broken_toys."""
    case = toy(official={"format": f"broken_toys:{name}", "marks": ["net."]})
    found = case.model.registry.official_format("tint")
    assert found is not None
    return case, found


def test_an_official_format_is_accepted_when_it_is_right(tmp_path: Path) -> None:
    case, found = released("RIGHT")
    official.check_recognition(case, found, official.external_shapes(case.model.registry, case.model))
    official.check_inferred_config(case, found)
    official.check_total_map(case, found, tmp_path)
    official.check_round_trip(case, tmp_path)


def test_a_format_that_leaves_out_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match=r"damaged by add\(\) at 'surprise.weight' is imported"):
        official.check_refuses_damage(*released("GREEDY"), tmp_path)


def test_a_format_that_takes_every_file_for_its_own() -> None:
    case, found = released("VAIN")
    with pytest.raises(ConformanceError, match="takes an empty file for its own"):
        official.check_recognition(case, found, official.external_shapes(case.model.registry, case.model))


def test_a_config_that_is_not_inferred() -> None:
    with pytest.raises(ConformanceError, match=r"colours\.mix\.weight is \(3, 3, 11, 11\)"):
        official.check_inferred_config(*released("FIXED"))


def test_a_table_without_a_row_for_a_tensor() -> None:
    with pytest.raises(ConformanceError, match=r"no row for colours\.mix\.bias"):
        official.check_inferred_config(*released("FORGETFUL"))


def test_a_card_that_does_not_tell_its_checkpoints() -> None:
    case = toy(official={"format": "broken_toys:RIGHT", "marks": ["body."]})
    with pytest.raises(ConformanceError, match="the card's marks"):
        official.check_recognition(case, released("RIGHT")[1], {})


def test_an_official_file_that_holds_something_else(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not the same after export and import"):
        official.check_round_trip(released("LOSSY")[0], tmp_path)
