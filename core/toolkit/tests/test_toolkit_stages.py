"""What a stage begins with, steps along one gradient, and results that a checkpoint inside a step keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from toolkit_toy import Config, Options, Painted, Toy, ToyTrainer, write_data
from torch import Tensor, nn
from torch.optim import Adam

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.data import Tensors
from i2i_registry.interfaces.trainer import Losses, Phase, Stage, Step
from i2i_runtime.errors import UsageError
from i2i_toolkit import Engine, l1, open_accelerator
from i2i_toolkit.seeds import seed_everything

STEPS, REPEAT = 3, 3


class Repeating(ToyTrainer):
    """One phase, whose optimizer steps three times along every gradient; it keeps what it saw."""

    def __init__(self, model: Toy, options: Options) -> None:
        super().__init__(model, options)
        self.batches: list[Tensor] = []
        self.first: list[Tensor] = []
        self.settled = 0

    def stages(self) -> Sequence[Stage[Any]]:
        optimizer = Adam(self.tint.parameters(), lr=1e-2, betas=(0.5, 0.9))
        phase = Phase(name="tint", optimizer=optimizer, losses=self._losses, repeat=REPEAT, after=self._settle)
        return [
            Stage(name=name, steps=STEPS, batch_size=2, phases=(phase,), begin=self._note) for name in ("one", "two")
        ]

    def _losses(self, step: Step[None]) -> Losses:
        self.batches.append(step.batch["A"].clone())
        return {"copy": l1(self.tint(step.batch["A"]), step.batch["A"])}

    def _settle(self) -> None:
        self.settled += 1

    def _note(self, batch: Tensors) -> None:
        self.first.append(batch["A"].clone())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


def start(data: Path) -> tuple[Engine, Repeating]:
    seed_everything(3)
    trainer = Repeating(Toy(Config()), Options())
    return Engine(trainer, trainer.layout.open(data, 3), accelerator=open_accelerator("cpu"), seed=3), trainer


def by_hand(tint: nn.Module, batches: Sequence[Tensor]) -> nn.Module:
    """Three steps of Adam along the gradient of each batch, written down."""
    optimizer = Adam(tint.parameters(), lr=1e-2, betas=(0.5, 0.9))
    for batch in batches:
        optimizer.zero_grad()
        l1(tint(batch), batch).backward()
        optimizer.step()
        optimizer.step()
        optimizer.step()
    return tint


class Sluggish(ToyTrainer):
    """Two stages of one phase, in steps 2 and 4 of each; its rate is what the test wants to see refused."""

    initial: ClassVar[float] = 1e-2
    factors: ClassVar[Sequence[float]] = (1.0, 1.0, 1.0, 1.0)

    def stages(self) -> Sequence[Stage[Any]]:
        optimizer = Adam(
            [{"params": [self.tint.weight]}, {"params": [self.tint.bias], "lr": type(self).initial}], lr=1e-2
        )
        phase = Phase(name="tint", optimizer=optimizer, losses=self._losses, every=2, learning_rate=self._factor)
        return [Stage(name=name, steps=4, batch_size=2, phases=(phase,)) for name in ("one", "two")]

    def _factor(self, step: int) -> float:
        return type(self).factors[step - 1]

    def _losses(self, step: Step[None]) -> Losses:
        return {"copy": l1(self.tint(step.batch["A"]), step.batch["A"])}


def sluggish(data: Path) -> Engine:
    trainer = Sluggish(Toy(Config()), Options())
    return Engine(trainer, trainer.layout.open(data, 3), accelerator=open_accelerator("cpu"))


@pytest.mark.parametrize(
    ("initial", "factor"), [(1e-2, 0.0), (1e-2, -1.0), (1e-2, math.nan), (1e-2, math.inf), (0.0, 1.0), (1e-300, 1e-300)]
)
def test_a_training_that_cannot_learn_does_not_start(
    data: Path, monkeypatch: pytest.MonkeyPatch, initial: float, factor: float
) -> None:
    monkeypatch.setattr(Sluggish, "initial", initial)
    monkeypatch.setattr(Sluggish, "factors", (1.0, factor, 1.0, 1.0))
    with pytest.raises(TrainingError, match=r"rate of phase 'tint' is .* in step 2 of stage 'one'") as caught:
        sluggish(data)
    assert "another --set learning_rate, or more --steps" in caught.value.fix


def test_a_rate_may_end_at_zero_and_not_below(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sluggish, "factors", (0.0, 1.0, 1.0, 0.0))  # the phase is not there in step 1
    assert [report.total_step for report in sluggish(data).phases()] == [2, 4, 6, 8]
    monkeypatch.setattr(Sluggish, "factors", (1.0, 1.0, 1.0, -0.5))
    with pytest.raises(TrainingError, match=r"-0.005 in step 4 of stage 'one'"):
        list(sluggish(data).phases())


def test_an_optimizer_steps_several_times_along_one_gradient(data: Path) -> None:
    engine, trainer = start(data)
    before = deepcopy(trainer.tint)
    for report in engine.phases():
        if report.total_step == STEPS:
            break
    assert (len(trainer.batches), trainer.settled) == (STEPS, STEPS)  # one gradient, one hook a phase
    expected = by_hand(before, trainer.batches)
    for found, wanted in zip(trainer.tint.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-7)


def enlarged(gradient: Tensor) -> Tensor:
    return gradient * 1e6


def test_a_scaled_gradient_is_stepped_along_as_often_and_not_where_it_overflows(data: Path) -> None:
    engine, trainer = start(data)
    engine.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    before = deepcopy(trainer.tint)
    phases = engine.phases()
    next(phases)
    for found, wanted in zip(
        trainer.tint.parameters(), by_hand(deepcopy(before), trainer.batches).parameters(), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)

    engine.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # times a gradient above 2: inf
    held = deepcopy(trainer.tint.state_dict())
    for parameter in trainer.tint.parameters():
        parameter.register_hook(enlarged)
    next(phases)
    for name, tensor in trainer.tint.state_dict().items():
        assert torch.equal(tensor, held[name]), name


def test_a_stage_begins_with_its_first_batch(data: Path) -> None:
    engine, trainer = start(data)
    for _ in engine.phases():
        pass
    assert len(trainer.first) == 2
    for begun, number in zip(trainer.first, (0, STEPS), strict=True):
        assert torch.equal(begun, trainer.batches[number])
    assert not torch.equal(*trainer.first)


@pytest.mark.parametrize(("stop_after", "begun"), [(1, 1), (STEPS, 1), (STEPS + 1, 0)])
def test_a_resumed_run_begins_only_what_was_not_begun(data: Path, stop_after: int, begun: int) -> None:
    first, _ = start(data)
    phases = first.phases()
    for _ in range(stop_after):
        next(phases)
    second, trainer = start(data)
    second.restore(first.snapshot())
    for _ in second.phases():
        pass
    assert len(trainer.first) == begun


def test_looking_at_the_first_batch_changes_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are drawn by their position, so that one that is drawn twice is the same."""
    engine, looking = start(data)
    for _ in engine.phases():
        pass
    monkeypatch.setattr(Engine, "_enter", _without_looking)
    engine, other = start(data)
    for _ in engine.phases():
        pass
    assert all(torch.equal(one, two) for one, two in zip(looking.batches, other.batches, strict=True))
    assert all(
        torch.equal(one, two) for one, two in zip(looking.tint.parameters(), other.tint.parameters(), strict=True)
    )


def _without_looking(engine: Engine, _stage: Stage[Any]) -> None:
    engine.networks.thaw()
    engine.cursor = type(engine.cursor)(stage=engine.cursor.stage, step=1, phase=0)


# --- What phases share, when the network that made it has learned -----------------------------------------------------


class Looking(ToyTrainer):
    """The painter learns from its image; then the critic looks at it, and the painter would make another by now."""

    keep: ClassVar[type[Painted] | None] = Painted

    def stages(self) -> Sequence[Stage[Any]]:
        phases = tuple(
            Phase(name=name, optimizer=Adam(network.parameters(), lr=1e-2), losses=loss)
            for name, network, loss in (
                ("painter", self.painter, self._painter_losses),
                ("critic", self.critic, self._critic_losses),
            )
        )
        return [
            Stage(
                name="looking",
                steps=STEPS,
                batch_size=2,
                phases=phases,
                shared=self._paint,
                keep_shared=type(self).keep,
            )
        ]

    def _paint(self, step: Step[None]) -> Painted:
        return Painted(self.painter(step.batch["A"]))

    def _painter_losses(self, step: Step[Painted]) -> Losses:
        return {"copy": l1(step.shared.fake, step.batch["A"])}

    def _critic_losses(self, step: Step[Painted]) -> Losses:
        return {"judged": self.critic(step.shared.fake.detach()).square().mean()}


class Repainting(Looking):
    keep = None


def looking(data: Path, kind: type[Looking], accumulate: int = 1) -> Engine:
    seed_everything(3)
    trainer = kind(Toy(Config()), Options())
    return Engine(
        trainer,
        trainer.layout.open(data, 3),
        accelerator=open_accelerator("cpu"),
        seed=3,
        accumulate=accumulate,
    )


def critic_at_the_end(data: Path, kind: type[Looking], *, stopped: bool) -> list[Tensor]:
    """Of a whole training; or of one that was stopped after the painter's first step, and went on elsewhere."""
    engine = looking(data, kind)
    if stopped:
        next(engine.phases())
        saved = deepcopy(engine.snapshot())
        engine = looking(data, kind)
        engine.restore(saved)
    for _ in engine.phases():
        pass
    return [parameter.detach() for parameter in engine.networks.modules["critic"].parameters()]


def test_a_stage_may_keep_what_its_phases_look_at_later(data: Path) -> None:
    whole, parted = (critic_at_the_end(data, Looking, stopped=stopped) for stopped in (False, True))
    assert all(map(torch.equal, whole, parted))


def test_computed_again_it_would_be_another_image(data: Path) -> None:
    whole, parted = (critic_at_the_end(data, Repainting, stopped=stopped) for stopped in (False, True))
    assert not all(map(torch.equal, whole, parted))


def test_what_is_kept_is_computed_for_the_whole_batch(data: Path) -> None:
    with pytest.raises(UsageError, match="2 micro-batches"):
        looking(data, Looking, accumulate=2)


def test_what_is_kept_has_to_have_fields(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looking, "keep", dict)
    with pytest.raises(TrainingError, match="keep_shared of stage 'looking' is dict"):
        looking(data, Looking)
