"""What a training is going to take is told in words, and one that does not fit is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toolkit_toy import Config, Options, Toy, ToyTrainer, state_of, toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.trainer import AnyTrainer, Losses, Stage, Step
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_toolkit.training import session
from i2i_toolkit.training.cost import Cost, check_cost, cost_of, usable_memory
from i2i_toolkit.training.cost_counting import Work, count_work
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
    assert check_cost(Cost(seconds, 3 * GB // 2), 8 * GB, "less").startswith(
        f"{words} and 1.5 GB of memory on this machine"
    )


@pytest.mark.parametrize("memory", [None, 4 * GB])
def test_what_fits_is_told(memory: int | None) -> None:
    assert "4.0 GB" in check_cost(Cost(60, 4 * GB), memory, "less")


def test_what_does_not_fit_is_refused_with_the_advice() -> None:
    with pytest.raises(UsageError, match=r"2 days and 9.5 GB of memory") as caught:
        check_cost(Cost(200_000, 19 * GB // 2), 8 * GB, "a smaller --max-size")
    assert caught.value.expected == "at most the 8 GB that are here"
    assert caught.value.fix == "train with a smaller --max-size"


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


STEPS = 60


def train(data: Path, steps: int) -> int:
    arguments = ["train", "toy", "--data", str(data), "--out", str(data.parent / "run"), "--steps", str(steps)]
    session = Session(toy_registry(), Store(data.parent / "store"))
    return run_program([*arguments, "--device", "cpu", "--threads", "1", "--sample-every", "0"], session)


def test_a_training_says_what_it_takes_before_it_starts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, STEPS) == 0
    told = capsys.readouterr().err
    assert re.search(r"the whole training: \d+ seconds and 0\.0 GB of memory on this machine's CPU, roughly", told)


def test_a_short_training_starts_at_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, 2) == 0
    assert "the whole training" not in capsys.readouterr().err


def test_a_training_that_does_not_fit_does_not_start(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "usable_memory", lambda: 1000)
    assert train(data, STEPS) == 2
    stderr = capsys.readouterr().err
    assert "a smaller --batch-size" in stderr
    assert "Traceback" not in stderr
    assert not list((data.parent / "run").rglob("*.safetensors"))
    assert not (data.parent / "run").exists()


# --- What is counted --------------------------------------------------------------------------------------------------


class Drafting(ToyTrainer):
    """The first phase of the toy alone: two convolutions and their gradients, none for the image."""

    def stages(self) -> Sequence[Stage[None]]:
        first, *_ = super().stages()
        return [Stage(name="draft", steps=100, batch_size=self.options.batch_size, phases=first.phases)]


class Curious(Drafting):
    """Looks at an image to decide what it computes."""

    def stages(self) -> Sequence[Stage[None]]:
        (stage,) = super().stages()
        (phase,) = stage.phases
        return [replace(stage, phases=(replace(phase, losses=self.looking),))]

    def looking(self, step: Step[None]) -> Losses:
        factor = 2.0 if float(step.batch["A"].mean()) > 0 else 1.0
        return {"copy": factor * self.painter(step.batch["A"]).square().mean()}


PIXELS, CHANNELS = 8 * 8, 4
FIRST, SECOND = 3 * 9 * CHANNELS, CHANNELS * 9 * 3
PER_IMAGE = PIXELS * (2 * FIRST + 3 * SECOND)
"""Forward and the gradients of the weights for both convolutions; the gradient of its input for the second."""


def count(data: Path, trainer: AnyTrainer, **options: int) -> Work:
    work = count_work(trainer, trainer.layout.open(data, 0), **options)
    assert work is not None
    return work


@pytest.mark.parametrize("batch_size", [2, 6])
def test_multiplications_are_those_of_the_layers(data: Path, batch_size: int) -> None:
    work = count(data, Drafting(Toy(Config()), Options(batch_size=batch_size)))
    # The spectral norm multiplies a matrix of 3x36 by vectors: less than one image in a hundred.
    assert 1 <= work.multiplications / (100 * batch_size * PER_IMAGE) < 1.01
    assert work.moved == 100 * sum(p.numel() for p in Toy(Config()).networks["painter"].parameters())


def test_parts_of_a_batch_take_as_long_and_less_memory(data: Path) -> None:
    trainer = Drafting(Toy(Config()), Options(batch_size=8))
    whole, parts = count(data, trainer), count(data, trainer, accumulate=4)
    assert parts.multiplications == pytest.approx(whole.multiplications, rel=0.02)
    assert parts.memory < whole.memory / 2


def test_the_count_is_the_same_again_and_leaves_the_trainer_and_chance_as_they_are(data: Path) -> None:
    trainer = ToyTrainer(Toy(Config()), Options(steps=STEPS))
    before = {key: tensor.clone() for key, tensor in state_of(trainer.all_networks).items()}
    state = torch.get_rng_state()
    assert count(data, trainer) == count(data, trainer)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state_of(trainer.all_networks).items())
    assert torch.equal(torch.get_rng_state(), state)


def test_stages_in_between_grow_evenly_from_those_that_are_counted(data: Path) -> None:
    class Growing(Drafting):
        def stages(self) -> Sequence[Stage[None]]:
            (stage,) = super().stages()
            return [replace(stage, name=str(number), batch_size=2**number) for number in range(1, 6)]

    work = count(data, Growing(Toy(Config()), Options()))
    assert work.multiplications == pytest.approx(100 * (2 + 4 + 8 + 16 + 32) * PER_IMAGE, rel=0.02)


def test_what_looks_at_an_image_is_not_counted(data: Path) -> None:
    trainer = Curious(Toy(Config()), Options())
    assert count_work(trainer, trainer.layout.open(data, 0)) is None


def test_more_work_takes_longer_by_each_of_its_parts() -> None:
    least = cost_of(Work(1e9, 1e3, 1e6, 5))
    more = [cost_of(work) for work in (Work(2e9, 1e3, 1e6, 5), Work(1e9, 1e6, 1e6, 5), Work(1e9, 1e3, 1e9, 5))]
    assert all(cost.seconds > least.seconds for cost in more)
    assert least.memory == 5
