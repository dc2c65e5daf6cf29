"""The record of the parity gate: every graph is judged by its own tolerance."""

from __future__ import annotations

from i2i_runtime.schema.parity import Parity, ParityCase


def case(graph: str, relative: float, sensitivity: float | None = None) -> ParityCase:
    return ParityCase(
        graph=graph, output="y", batch=1, inputs="noise", max_abs=0, relative=relative, sensitivity=sensitivity
    )


def record(**tolerances: float) -> Parity:
    return Parity(
        tolerance=0.1,
        tolerances=tolerances,
        relative=0.05,
        reference="torch",
        cases=(case("loose", 0.05), case("tight", 2e-5), case("tight", 9e-5), case("tight", 3.0, sensitivity=1.0)),
        versions={},
    )


def test_a_graph_without_a_tolerance_of_its_own_has_the_one_of_all() -> None:
    assert [record(tight=1e-4).tolerance_of(graph) for graph in ("loose", "tight")] == [0.1, 1e-4]


def test_the_graph_that_is_closest_to_its_limit_is_told() -> None:
    assert record(tight=1e-4).closest() == (9e-5, 1e-4)
    assert record().closest() == (0.05, 0.1)


def test_a_record_of_before_is_read() -> None:
    values = record().model_dump(mode="json")
    del values["tolerances"]

    assert Parity.model_validate(values) == record()
