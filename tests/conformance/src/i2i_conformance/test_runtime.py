"""Each operation of each shrunk model through the runtime."""

from __future__ import annotations

from i2i_conformance.calls import calls
from i2i_conformance.cases import OperationCase
from i2i_conformance.checks import running
from i2i_conformance.workbench import Workbench


def test_the_runtime_gives_what_torch_gives(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    for call in calls(operation_case.of(exported.model)):
        running.check_runtime_equals_torch(exported.model, exported.bundle, call)


def test_an_image_below_the_smallest_size_is_refused(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_refuses_smaller(exported.bundle, operation_case.of(exported.model))


def test_a_result_below_the_smallest_size_is_refused(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_refuses_small_results(exported.bundle, operation_case.of(exported.model))


def test_an_animation_wanders_and_repeats(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_animation(exported.bundle, operation_case.of(exported.model))


def test_seeds_repeat(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_repeats(exported.bundle, operation_case.of(exported.model))


def test_a_batch_gives_what_its_items_give(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_batch_invariance(exported.model, exported.bundle, operation_case.of(exported.model))


def test_every_input_changes_something(operation_case: OperationCase, workbench: Workbench) -> None:
    exported = workbench.exported(operation_case.preset)
    running.check_every_input_matters(exported.model, operation_case.of(exported.model))
