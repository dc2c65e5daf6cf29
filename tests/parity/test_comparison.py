from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from .comparison import Movement, Row, absolute_error, allowed_turns, gradient_error, relative_error
from .options import Options
from .recording import Recording
from .table import main

RATE = 1e-4


def moved(gradient: list[float], share: float = 1.0) -> tuple[Movement, Tensor]:
    """A recorded Adam step against `gradient`, and where our step ends that goes `share` of the way."""
    slope = torch.tensor(gradient)
    before = torch.linspace(-1, 1, len(gradient), dtype=torch.float64)
    step = -RATE * slope.sign()
    return Movement(before, before + step, slope, RATE), before + share * step


def test_an_output_is_compared_by_its_largest_difference() -> None:
    assert absolute_error(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0])) == 0.5


def test_a_wrong_shape_is_an_infinite_error() -> None:
    assert absolute_error(torch.zeros(2, 1), torch.zeros(2)) == math.inf


def test_a_value_that_is_not_finite_is_an_infinite_error() -> None:
    assert absolute_error(torch.tensor([math.nan]), torch.zeros(1)) == math.inf
    assert relative_error(math.nan, 1.0) == math.inf


def test_a_loss_is_compared_relatively() -> None:
    assert relative_error(303.0, 300.0) == 0.01


def test_a_gradient_is_compared_by_its_largest_entry() -> None:
    assert gradient_error(torch.tensor([0.0, 100.0]), torch.tensor([1.0, 100.0])) == 0.01


def test_a_network_that_was_never_stepped_is_fully_wrong() -> None:
    movement, still = moved([1.0, -0.5, 0.8], share=0.0)
    assert math.isclose(movement.error(still), 1.0, rel_tol=1e-6)


def test_a_weak_entry_may_turn_round_but_is_counted() -> None:
    movement, found = moved([1.0, 0.001, 0.5, 1.0])
    found[1] += 2 * RATE
    assert movement.error(found) < 1e-6
    assert movement.turned(found, tolerance=0.02) == 0.25


def test_a_weak_entry_may_not_run_away() -> None:
    movement, found = moved([1.0, 0.001])
    found[1] += 3 * RATE
    assert movement.turned(found, tolerance=0.02) == math.inf


def test_a_weak_entry_may_turn_round_at_every_step_that_was_taken() -> None:
    movement, found = moved([1.0, 0.001])
    found[1] += 6 * RATE
    assert movement.turned(found, tolerance=0.02) == math.inf
    assert replace(movement, steps=3).turned(found, tolerance=0.02) == 0.5


def test_one_entry_of_a_small_tensor_may_turn_round() -> None:
    assert allowed_turns(torch.zeros(100)) == 0.01
    assert allowed_turns(torch.zeros(10_000)) == 1e-3


def test_rounding_of_large_numbers_is_relative() -> None:
    recording = Recording({"output/y": torch.tensor([40.0])}, config={}, up_to=4.0)
    assert math.isclose(recording.output("y", torch.tensor([40.5]), 0.1).error, 0.05)
    recording = Recording({"output/y": torch.tensor([0.1])}, config={}, up_to=4.0)
    assert math.isclose(recording.output("y", torch.tensor([0.6]), 0.1).error, 0.5, rel_tol=1e-6)


def test_an_option_counts_when_it_is_read_and_only_then() -> None:
    class Part(Options):
        rate: float
        name: str

    class Whole(Options):
        size: int
        part: Part
        draws: tuple[Part, ...] = ()

    part = {"rate": 1.0, "name": "x", "stranger": 1}
    recording = Recording({}, config={"size": 3, "part": part, "draws": [part], "unknown": 2})
    options = recording.options(Whole)
    assert options.part.rate + options.draws[0].rate == 2.0
    recording.ignore("a reason", "part.name")
    missed = [row.quantity for row in recording.left_over()]
    names = ("draws.name", "draws.stranger", "part.stranger", "size", "unknown")
    assert missed == [f"config/{name} (never used)" for name in names]


def test_a_tensor_held_in_place_by_a_clamp_is_compared_by_the_learning_rate() -> None:
    held = torch.ones(2)
    movement = Movement(held, held, torch.tensor([-1.0, -1.0]), RATE)
    assert movement.error(held + RATE) > 0.9


def test_an_error_that_is_no_number_is_a_miss() -> None:
    assert not Row("quantity", math.nan, 1.0).ok


def test_what_nothing_was_compared_with_is_a_miss() -> None:
    tensors = {"input/x": torch.zeros(1), "output/y": torch.zeros(1), "loss/z": torch.zeros(())}
    recording = Recording(tensors, config={})
    recording.output("y", torch.zeros(1), 0.0)
    assert [(row.quantity, row.ok) for row in recording.left_over()] == [("loss/z (never compared)", False)]


def test_the_table_skips_papers_without_a_plugin_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nopaper").mkdir()
    save_file({"output/y": torch.zeros(1)}, tmp_path / "nopaper" / "case.safetensors")
    assert main([str(tmp_path)]) == 0
    assert "nopaper (1)" in capfd.readouterr().out


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert main([str(tmp_path / "missing")]) == 2
