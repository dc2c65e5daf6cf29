"""Stages of growing resolution: what they see and forget, how their average moves, and that a kill changes nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from growing_toy import BATCHES, STEPS, Faded, GrowingTrainer, decay, run_growing
from safetensors.torch import load_file
from toolkit_toy import Config, Options, Toy, write_data
from torch import Tensor
from torch.nn import functional as F

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.trainer import Losses, Step
from i2i_toolkit import Engine, open_accelerator
from i2i_toolkit.engine.ema import EMA
from i2i_toolkit.seeds import seed_everything


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


def grow(data: Path, kind: type[GrowingTrainer] = GrowingTrainer, workers: int = 0) -> Engine:
    seed_everything(3)
    trainer = kind(Toy(Config()), Options())
    source = trainer.layout.open(data, 3)
    return Engine(trainer, source, accelerator=open_accelerator("cpu"), seed=3, workers=workers)


def everything(engine: Engine) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in engine.snapshot().tensors.items()}


class Watching(GrowingTrainer):
    """Keeps the batches that it learned from."""

    def __init__(self, model: Toy, options: Options) -> None:
        super().__init__(model, options)
        self.batches: list[Tensor] = []
        self.blends: list[float] = []

    def copy_losses(self, step: Step[Faded]) -> Losses:
        self.batches.append(step.batch["A"])
        self.blends.append(step.shared.blend)
        return super().copy_losses(step)


@pytest.mark.parametrize("workers", [0, 1])
def test_each_stage_has_its_resolution_and_its_batch_size(data: Path, workers: int) -> None:
    engine = grow(data, Watching, workers)
    for _ in engine.phases():
        pass
    assert isinstance(engine.trainer, Watching)
    expected: list[Tensor] = []
    position = 0
    for side, size in BATCHES.items():
        for _ in range(STEPS):
            drawn = torch.stack([engine.source.draw(position + number)["A"] for number in range(size)])
            expected.append(F.adaptive_avg_pool2d(drawn, side))
            position += size
    assert all(map(torch.equal, engine.trainer.batches, expected))
    assert engine.trainer.blends == [step / STEPS for step in range(1, STEPS + 1)] * len(BATCHES)
    assert [len(batch) for batch in engine.trainer.batches] == [n for n in BATCHES.values() for _ in range(STEPS)]


class Remembering(GrowingTrainer):
    fresh_optimizers = False


@pytest.mark.parametrize(("kind", "taken"), [(GrowingTrainer, 1), (Remembering, STEPS + 1)])
def test_a_stage_says_whether_its_optimizers_start_afresh(data: Path, kind: type[GrowingTrainer], taken: int) -> None:
    engine = grow(data, kind)
    reports = engine.phases()
    for _ in range(STEPS + 1):
        next(reports)
    (optimizer,) = {phase.optimizer for stage in engine.stages for phase in stage.phases}
    assert {int(state["step"]) for state in optimizer.state.values()} == {taken}


def test_a_decay_may_follow_the_step(data: Path) -> None:
    engine = grow(data)
    network, key = engine.networks.modules["painter"], "0.weight"
    expected = network.state_dict()[key].clone()
    for report in engine.phases():
        rate = decay(report.total_step)
        expected = rate * expected + (1 - rate) * network.state_dict()[key]
    torch.testing.assert_close(engine.weights()["painter.0.weight"], expected)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_of_0_to_1_is_refused(wrong: float) -> None:
    ema = EMA({"net": torch.nn.Linear(1, 1)}, {"net": lambda step: wrong if step == 2 else 0.5})
    ema.update(1)
    with pytest.raises(TrainingError, match=r"EMA decay of network 'net' is .* in step 2"):
        ema.update(2)


@pytest.mark.parametrize("stop_after", range(1, STEPS * len(BATCHES)))
def test_a_run_stopped_after_any_step_and_restored_ends_with_the_same_bits(data: Path, stop_after: int) -> None:
    whole, first, second = (grow(data) for _ in range(3))
    for _ in whole.phases():
        pass
    reports = first.phases()
    for _ in range(stop_after):
        next(reports)
    second.restore(first.snapshot())
    for _ in second.phases():
        pass
    found, expected = everything(second), everything(whole)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def train(home: Path, arguments: Sequence[str], kill: str = "") -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["i2i_toolkit.training.console"])
    process = context.Process(target=run_growing, args=(["train", *arguments], home / "store", kill))
    process.start()
    process.join()
    return process.exitcode


def test_a_run_killed_inside_a_fade_resumes_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    weights: list[dict[str, Tensor]] = []
    for name, kill in (("whole", ""), ("killed", "2/8 pixels/SIGKILL")):
        run = tmp_path / name
        new = ["toy", "--data", str(data), "--as", name, "--out", str(run), "--threads", "1", "--device", "cpu"]
        code = train(tmp_path, [*new, "--checkpoint-every", "1"], kill)
        if kill:
            assert code == -9
            code = train(tmp_path, ["--resume", str(run)])
        assert code == 0
        weights.append(load_file(run / "weights.safetensors"))
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())
