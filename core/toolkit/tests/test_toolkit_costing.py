"""What a training is going to take is told in words, and one that does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolkit_toy import ToyTrainer, toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.trainer import Cost
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_toolkit.training.cost import check_cost, usable_memory
from i2i_toolkit.training.speed import training_speed

GB = 10**9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "3 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (5 * 60 + 40, "6 minutes"),
        (7199, "120 minutes"),
        (2 * 3600, "2 hours"),
        (36 * 3600, "36 hours"),
        (48 * 3600, "2 days"),
        (10 * 86_400, "10 days"),
    ],
)
def test_time_is_told_in_the_unit_that_people_would_use(seconds: float, words: str) -> None:
    assert check_cost(Cost(seconds, 3 * GB // 2), 8 * GB).startswith(f"{words} and 1.5 GB of memory on this machine")


@pytest.mark.parametrize("memory", [None, 4 * GB])
def test_what_fits_is_told(memory: int | None) -> None:
    assert "4.0 GB" in check_cost(Cost(60, 4 * GB), memory)


def test_what_does_not_fit_is_refused_with_the_advice() -> None:
    with pytest.raises(UsageError, match=r"2 days and 9.5 GB of memory") as caught:
        check_cost(Cost(200_000, 19 * GB // 2), 8 * GB)
    assert caught.value.expected == "at most the 8 GB that are here"
    assert caught.value.fix.startswith("--max-size with a smaller number")


def test_estimates_of_one_process_share_one_speed() -> None:
    """Else an image twice as large may take less time, on a machine that was busy at the first one."""
    first = training_speed()
    assert first > 0
    assert [training_speed() for _ in range(5)] == [first] * 5


def test_this_machine_has_memory() -> None:
    memory = usable_memory()
    assert memory is None or memory > GB // 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    return tmp_path / "data"


def costs(monkeypatch: pytest.MonkeyPatch, cost: Cost) -> None:
    def told(_trainer: ToyTrainer) -> Cost:
        return cost

    monkeypatch.setattr(ToyTrainer, "cost", told)


def train(data: Path) -> int:
    arguments = ["train", "toy", "--data", str(data), "--out", str(data.parent / "run"), "--steps", "1"]
    session = Session(toy_registry(), Store(data.parent / "store"))
    return run_program([*arguments, "--device", "cpu", "--threads", "1"], session)


def test_a_training_says_what_it_takes_before_it_starts(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs(monkeypatch, Cost(200, GB // 10))
    assert train(data) == 0
    assert (
        "the whole training: 3 minutes and 0.1 GB of memory on this machine's CPU, roughly" in capsys.readouterr().err
    )


def test_a_training_of_unknown_cost_says_nothing_of_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data) == 0
    assert "the whole training" not in capsys.readouterr().err


def test_a_training_that_does_not_fit_does_not_start(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs(monkeypatch, Cost(200, 10**6 * GB))
    assert train(data) == 2
    stderr = capsys.readouterr().err
    assert "--max-size with a smaller number" in stderr
    assert "Traceback" not in stderr
    assert not list((data.parent / "run").rglob("*.safetensors"))
    assert not (data.parent / "run").exists()
