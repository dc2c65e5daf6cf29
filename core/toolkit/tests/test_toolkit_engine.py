"""The engine on the toy: what a phase touches, and that stopping anywhere changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toolkit_toy import Config, Options, Painted, ToyTrainer, make_trainer, state_of, write_data
from torch import Tensor

from i2i_registry.errors import CheckpointError, TrainingError
from i2i_registry.interfaces.data import Tensors
from i2i_registry.interfaces.trainer import Step
from i2i_runtime.errors import DeviceError, UsageError
from i2i_toolkit import Cursor, Engine, StopRequest, open_accelerator
from i2i_toolkit.seeds import seed_everything


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


def make_engine(
    data: Path, *, seed: int = 3, accumulate: int = 1, stop: StopRequest | None = None, **options: int
) -> Engine:
    seed_everything(seed)
    trainer = make_trainer(Options(**options))
    return Engine(
        trainer,
        trainer.layout.open(data, seed),
        accelerator=open_accelerator("cpu"),
        seed=seed,
        accumulate=accumulate,
        stop=stop,
    )


def everything(engine: Engine) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in engine.snapshot().tensors.items()}


def assert_same_bits(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def run_to_end(engine: Engine) -> Engine:
    for _ in engine.phases():
        pass
    return engine


BOUNDARIES = range(1, 11)
"""draft; then four steps of critic, tint (in even steps) and painter"""


@pytest.mark.parametrize("stop_after", BOUNDARIES)
def test_a_run_stopped_after_any_phase_and_restored_ends_with_the_same_bits(data: Path, stop_after: int) -> None:
    whole = run_to_end(make_engine(data))
    first = make_engine(data)
    reports = first.phases()
    for _ in range(stop_after):
        next(reports)
    torch.rand(7)  # whatever the generators do between stop and resume

    second = make_engine(data)
    second.restore(first.snapshot())
    run_to_end(second)

    assert_same_bits(everything(second), everything(whole))


@pytest.mark.parametrize("stop_after", [2, 4, 5])
def test_an_accumulating_run_stopped_inside_a_step_ends_with_the_same_bits(data: Path, stop_after: int) -> None:
    whole = run_to_end(make_engine(data, accumulate=2))
    first = make_engine(data, accumulate=2)
    reports = first.phases()
    for _ in range(stop_after):
        next(reports)

    second = make_engine(data, accumulate=2)
    second.restore(first.snapshot())

    assert_same_bits(everything(run_to_end(second)), everything(whole))


def test_the_reports_after_a_stop_are_those_of_an_unstopped_run(data: Path) -> None:
    expected = list(make_engine(data).phases())
    first = make_engine(data)
    reports = first.phases()
    found = [next(reports) for _ in range(4)]
    second = make_engine(data)
    second.restore(first.snapshot())

    assert [*found, *second.phases()] == expected


def test_another_seed_ends_elsewhere(data: Path) -> None:
    one, other = (run_to_end(make_engine(data, seed=seed)) for seed in (3, 4))

    assert not torch.equal(one.weights()["painter.0.weight"], other.weights()["painter.0.weight"])


def test_a_phase_moves_only_what_its_optimizer_holds(data: Path) -> None:
    engine = make_engine(data)
    reports = engine.phases()
    while next(reports).phase != "painter":
        pass
    before = {name: p.detach().clone() for name, p in named_parameters(engine)}
    assert next(reports).phase == "critic"
    moved = {name.partition(".")[0] for name, p in named_parameters(engine) if not torch.equal(before[name], p)}

    assert moved == {"critic"}


def named_parameters(engine: Engine) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, network in engine.networks.modules.items():
        for key, parameter in network.named_parameters():
            yield f"{name}.{key}", parameter


def test_gradients_reach_only_what_the_phase_learns(data: Path) -> None:
    engine = make_engine(data)
    for report in engine.phases():
        with_gradient = {name.partition(".")[0] for name, p in named_parameters(engine) if p.grad is not None}
        assert with_gradient == {"draft": {"painter"}}.get(report.phase, {report.phase})


def test_everything_else_is_frozen_while_a_phase_computes_its_loss(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    original = ToyTrainer.painter_losses

    def looking(trainer: ToyTrainer, step: Step[Painted]) -> Tensors:
        seen.update(name for name, network in trainer.all_networks.items() if next(network.parameters()).requires_grad)
        return original(trainer, step)

    monkeypatch.setattr(ToyTrainer, "painter_losses", looking)
    run_to_end(make_engine(data))

    assert seen == {"painter"}


def test_a_lazy_phase_runs_in_every_nth_step(data: Path) -> None:
    reports = list(make_engine(data, steps=5).phases())

    assert [r.step for r in reports if r.phase == "tint"] == [2, 4]


def test_the_learning_rate_is_the_first_one_times_the_factor_of_the_step(data: Path) -> None:
    engine = make_engine(data)
    rates = [report.values["rate/painter"] for report in engine.phases() if report.phase == "painter"]

    assert rates == [1e-2 * (1.0 / step) for step in (1, 2, 3, 4)]


def test_what_follows_a_phase_sees_the_moved_parameters(data: Path) -> None:
    engine = run_to_end(make_engine(data))

    assert all(float(p.detach().abs().max()) <= 0.5 for p in engine.networks.modules["painter"].parameters())


def test_a_stage_begins_once_and_not_again_on_resume(data: Path) -> None:
    first = make_engine(data)
    reports = first.phases()
    for _ in range(3):
        next(reports)
    second = make_engine(data)
    second.restore(first.snapshot())
    run_to_end(second)

    begun = [e.trainer.begun for e in (first, second) if isinstance(e.trainer, ToyTrainer)]
    assert begun == [1, 0]


def test_the_average_follows_its_closed_form(data: Path) -> None:
    engine = make_engine(data)
    network, key = engine.networks.modules["painter"], "0.weight"
    expected = network.state_dict()[key].clone()
    for report in engine.phases():
        if report.step_complete:
            expected = 0.9 * expected + 0.1 * network.state_dict()[key]

    torch.testing.assert_close(engine.weights()["painter.0.weight"], expected)
    assert not torch.equal(expected, network.state_dict()[key])


def test_buffers_of_an_average_are_those_of_the_network(data: Path) -> None:
    engine = run_to_end(make_engine(data))

    assert torch.equal(
        engine.weights()["painter.1.running_mean"], state_of(engine.networks.modules)["painter.1.running_mean"]
    )


def test_a_term_that_is_not_finite_stops_with_its_name_and_moves_nothing(data: Path) -> None:
    engine = make_engine(data, poison_step=2)
    reports = engine.phases()
    for _ in range(5):  # draft; critic and painter; critic, tint
        next(reports)
    before = {name: p.detach().clone() for name, p in named_parameters(engine)}

    with pytest.raises(TrainingError, match=r"'judged' of phase 'painter' is nan in step 2 of stage 'paint'"):
        next(reports)
    assert all(torch.equal(before[name], p) for name, p in named_parameters(engine))


def test_a_stop_request_is_reported_with_the_phase_that_was_running(data: Path) -> None:
    stop = StopRequest()
    engine = make_engine(data, stop=stop)
    reports = engine.phases()
    assert not next(reports).stop
    stop()

    assert next(reports).stop


def test_previews_change_nothing(data: Path) -> None:
    engine = make_engine(data)
    expected = run_to_end(make_engine(data))
    shown = engine.source.preview(2)
    for report in engine.phases():
        if report.step_complete:
            assert not engine.preview(shown)["painting"].requires_grad
            assert engine.networks.modules["painter"].training

    assert_same_bits(everything(engine), everything(expected))


def test_previews_repeat_themselves(data: Path) -> None:
    engine = make_engine(data)
    shown = engine.source.preview(2)

    assert torch.equal(engine.preview(shown)["painting"], engine.preview(shown)["painting"])


def test_micro_batches_learn_what_the_whole_batch_would(data: Path) -> None:
    # One step of a phase without batch statistics: dropout and batch norm see micro-batches, and so must differ.
    whole, parts = (make_engine(data, accumulate=n, batch_size=4) for n in (1, 2))
    for engine in (whole, parts):
        for network in engine.networks.modules.values():
            network.eval()
        next(engine.phases())

    found, expected = (dict(named_parameters(engine)) for engine in (parts, whole))
    for name, parameter in expected.items():
        torch.testing.assert_close(found[name], parameter, rtol=1e-5, atol=1e-6)


def test_micro_batches_that_do_not_divide_the_batch_are_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="batches of 3 in 2 equal micro-batches"):
        make_engine(data, accumulate=2, batch_size=3)


def test_a_parameter_outside_of_all_networks_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(Options())
    without_tint = {name: network for name, network in trainer.all_networks.items() if name != "tint"}
    monkeypatch.setattr(ToyTrainer, "networks", property(lambda _: without_tint))

    with pytest.raises(TrainingError, match="'tint' holds a parameter of no network"):
        Engine(trainer, trainer.layout.open(data, 0), accelerator=open_accelerator("cpu"))


def test_a_snapshot_of_other_sizes_is_refused(data: Path) -> None:
    wide = make_trainer(Options(), Config(channels=6))
    other = Engine(wide, wide.layout.open(data, 0), accelerator=open_accelerator("cpu"))

    with pytest.raises(CheckpointError, match=r"wrong shape: ema/painter/\S+ is .*\n.*\nfix: go on with the versions"):
        make_engine(data).restore(other.snapshot())


@pytest.mark.parametrize(("part", "stop_after"), [("network/", 1), ("ema/", 1), ("network/", 2), ("start/", 2)])
def test_a_snapshot_with_names_of_another_version_is_refused_and_changes_nothing(
    data: Path, part: str, stop_after: int
) -> None:
    first, second = make_engine(data), make_engine(data)
    reports = first.phases()
    for _ in range(stop_after):
        next(reports)
    saved = first.snapshot()
    renamed = {key.replace(part, f"old_{part}", 1): value for key, value in saved.tensors.items()}
    before = {key: value.clone() for key, value in second.snapshot().tensors.items()}

    with pytest.raises(CheckpointError, match=rf"missing: {part}.*unexpected: old_{part}"):
        second.restore(saved.model_copy(update={"tensors": renamed}))
    assert second.cursor == Cursor(stage=0, step=0, phase=0)
    assert_same_bits(second.snapshot().tensors, before)


def test_a_snapshot_of_a_stage_that_there_is_not_is_refused(data: Path) -> None:
    engine = make_engine(data)
    elsewhere = engine.snapshot().model_copy(update={"cursor": Cursor(stage=9, step=1, phase=0)})
    with pytest.raises(TrainingError, match="before phase 0 of stage 9, which there is not"):
        engine.restore(elsewhere)


def test_bf16_trains_and_keeps_its_parameters_in_fp32(data: Path) -> None:
    trainer = make_trainer(Options(steps=1))
    engine = Engine(trainer, trainer.layout.open(data, 0), accelerator=open_accelerator("cpu", "bf16"))
    run_to_end(engine)

    assert {t.dtype for t in engine.weights().values() if t.is_floating_point()} == {torch.float32}


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(DeviceError, match="fp16 training on a CPU"):
        open_accelerator("cpu", "fp16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="--device cpu"):
        open_accelerator("cuda")


def test_another_number_of_processes_than_asked_for_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"1 process\(es\) run"):
        open_accelerator("cpu", processes=2)
