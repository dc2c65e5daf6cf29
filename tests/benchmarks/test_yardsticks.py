"""What `make bench` compares computes the same on both sides; here at sizes that take a second."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from i2i_registry import discover, official_tensors
from i2i_registry.interfaces.resolved_graphs import resolved_graphs

if TYPE_CHECKING:
    from benchmarks.papers import Paper, Training

    from i2i_registry.interfaces.graphs import OutlierTolerance
    from i2i_registry.interfaces.trainer import AnyTrainer

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks" / "papers").glob("[!_]*.py"))


@pytest.fixture(params=NAMES)
def paper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.papers").load(request.param)


@pytest.fixture
def training(paper: Paper) -> Training:
    if paper.training is None:
        pytest.skip("no training step is measured")
    return paper.training


def kernels(trainer: AnyTrainer) -> dict[str, torch.Tensor]:
    """Network -> its weights in a row, without biases.

    Norms make most of those superfluous, so that rounding decides which way they move; and some weights, too: those of
    a latent's maps, which are constant.
    """
    return {
        name: torch.cat([p.detach().flatten() for p in network.parameters() if p.dim() > 1])
        for name, network in trainer.all_networks.items()
        if any(p.dim() > 1 for p in network.parameters())
    }


def test_steps_in_the_official_order_give_our_losses_and_weights(training: Training) -> None:
    loop, batch = training.official("small"), training.batch("small")
    ours = training.ours("small", loop)
    start = kernels(ours)
    stage = training.stage("small")
    advance = importlib.import_module("benchmarks.papers._loops").our_step(ours, batch, stage=stage)
    found, expected = training.losses(advance()), loop.step(batch)
    assert found == pytest.approx(expected, rel=training.later)  # where updates went before, too
    judged = {loss: value for loss, value in expected.items() if training.judged(loss)}
    assert judged
    assert {loss: found[loss] for loss in judged} == pytest.approx(judged, rel=training.tolerance)
    # The next one starts where the first one led.
    assert training.losses(advance()) == pytest.approx(loop.step(batch), rel=10 * training.later)
    theirs, reached = kernels(training.ours("small", loop)), kernels(ours)
    for name, before in start.items():
        assert (reached[name] - theirs[name]).norm() < 0.1 * (theirs[name] - before).norm(), name


def test_stargan2_phases_that_follow_updates_agree_where_rounding_turns_no_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its Adam steps by the sign of a gradient; in twice the precision none of those turns round."""
    monkeypatch.syspath_prepend(ROOT)
    stargan2 = importlib.import_module("benchmarks.papers.stargan2")
    our_step = importlib.import_module("benchmarks.papers._loops").our_step
    training: Training = stargan2.PAPER.training
    loop = stargan2.Loop("small")
    ours = training.ours("small", loop)
    for network in (*ours.all_networks.values(), loop.networks, *loop.averages.values()):
        network.double()
    batch = {n: t.double() if t.is_floating_point() else t for n, t in training.batch("small").items()}
    assert training.losses(our_step(ours, batch)()) == pytest.approx(loop.step(batch), rel=1e-6)  # told in fp32
    state = loop.networks.state_dict()
    expected = training.ours("small", loop)  # a fresh one takes the loop's weights, in fp32
    assert state["generator.from_rgb.weight"].dtype == torch.float64
    for name, network in expected.networks.items():
        for key, tensor in network.state_dict().items():
            found = ours.all_networks[name].state_dict()[key].float()
            torch.testing.assert_close(
                found, tensor, rtol=1e-6, atol=2e-6, msg=lambda m, k=key, n=name: f"{n}.{k}: {m}"
            )


def test_what_is_measured_beside_our_step_has_its_losses(training: Training) -> None:
    our_step = importlib.import_module("benchmarks.papers._loops").our_step
    loop, batch, stage = training.official("small"), training.batch("small"), training.stage("small")
    expected = training.losses(our_step(training.ours("small", loop), batch, stage=stage)())
    for change in training.alternatives.values():
        trainer = training.ours("small", loop)
        change(trainer)
        assert training.losses(our_step(trainer, batch, stage=stage)()) == pytest.approx(expected, rel=1e-5)


def test_the_releases_generator_and_our_model_make_the_same_image(paper: Paper) -> None:
    if paper.inference is None:
        pytest.skip("no inference is measured")
    torch.manual_seed(0)
    eager = paper.inference.eager("small").eval()
    model = paper.inference.ours("small", eager)
    operation = next(each for each in model.operations() if each.name == paper.inference.operation)
    inputs, graphs = paper.inference.inputs("small"), resolved_graphs(model)
    tolerances: list[OutlierTolerance] = []
    values = {**inputs, **paper.inference.also("small")}
    count = len(next(iter(inputs.values())))
    with torch.inference_mode():
        for step in operation.steps_for(dict(paper.inference.labels)):
            graph = graphs[step.graph]
            fed = {name: torch.full((count,), number) for name, number in step.constants.items()}
            fed |= {name: values[value] for name, value in step.inputs.items()}
            made = graph.module.eval()(*(fed[name] for name in graph.inputs))
            named = dict(zip(graph.outputs, (made,) if isinstance(made, torch.Tensor) else made, strict=True))
            values |= {value: named[output] for output, value in step.outputs.items()}
            tolerances += [graph.outliers] if graph.outliers else []
        image, expected = values[paper.inference.output], eager(*inputs.values())
    assert image.shape == expected.shape
    off = (image - expected).abs()
    far = off[off > 1e-5]  # only where a graph says so: rounding decides there on an 8-bit level
    assert len(far) <= off.numel() * max((each.share for each in tolerances), default=0.0)
    assert all(value < each.tolerance * expected.abs().max() for each in tolerances for value in far)


def test_weights_go_back_into_the_releases_own_network(paper: Paper, request: pytest.FixtureRequest) -> None:
    """Strictly, every tensor of it, and with the same values; but for vectors that each of its passes computes anew."""
    name = request.node.callspec.params["paper"]
    if paper.inference is None or name in {"singan", "consingan"}:
        pytest.skip("what is measured is a module around the release's generators, which has other names")
    official = discover().official_format(name)
    assert official is not None
    network = paper.inference.eager("small")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    written = official_tensors(official, paper.inference.ours("small", network))
    prefix = next(each for each in ("", "G.", "genA2B.") if f"{each}{next(iter(before))}" in written)
    for parameter in network.parameters():
        parameter.data.zero_()
    network.load_state_dict({key: written[prefix + key] for key in before}, strict=True)
    after = network.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key]) and not key.endswith(".weight_v")] == []
