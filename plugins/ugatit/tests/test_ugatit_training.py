from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from i2i_plugin_ugatit.config import Config
from i2i_plugin_ugatit.model import UGATIT
from i2i_plugin_ugatit.networks import smallest_side
from i2i_plugin_ugatit.trainer import Options, UGATITTrainer, as_image, clamp_rho, learning_rate_factor
from i2i_registry import Step, TrainingError

TINY = Config(image_size=16, channels=2, res_blocks=1, pooled_style=True)
FEW_LAYERS = Options(global_layers=4, local_layers=3, discriminator_channels=2)


@pytest.fixture
def trainer() -> UGATITTrainer:
    torch.manual_seed(0)
    return UGATITTrainer(UGATIT(TINY), FEW_LAYERS)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {domain: torch.rand(2, 3, 16, 16) * 2 - 1 for domain in "AB"}


def official_rates(steps: int, rate: float) -> list[float]:
    """The release's loop: from the middle on, every step begins with a subtraction."""
    rates: list[float] = []
    for step in range(1, steps + 1):
        if step > steps // 2:
            rate -= 1.0 / (steps // 2)
        rates.append(rate)
    return rates


def test_the_learning_rate_falls_as_in_the_release() -> None:
    found = [learning_rate_factor(step, 20) for step in range(1, 21)]
    assert found == pytest.approx(official_rates(20, 1.0))


def test_the_learning_rate_never_becomes_negative() -> None:
    assert min(official_rates(7, 1.0)) < 0
    assert [learning_rate_factor(step, 7) for step in (3, 4, 7)] == pytest.approx([1.0, 2 / 3, 0.0])


def test_a_single_step_is_not_decayed() -> None:
    assert learning_rate_factor(1, 1) == 1.0


def test_rho_is_clamped_in_every_norm(trainer: UGATITTrainer) -> None:
    rhos = [p for name, p in trainer.a_to_b.named_parameters() if name.endswith("rho")]
    assert len(rhos) == 2 * TINY.res_blocks + 2
    with torch.no_grad():
        for rho in rhos:
            rho.copy_(torch.linspace(-1, 2, rho.numel()).view_as(rho))
    clamp_rho(trainer.a_to_b)
    for rho in rhos:
        assert torch.equal(rho.detach(), torch.linspace(-1, 2, rho.numel()).clamp(0, 1).view_as(rho))


def test_clamping_follows_the_generators_step(trainer: UGATITTrainer) -> None:
    _, generators = trainer.stages()[0].phases
    with torch.no_grad():
        trainer.b_to_a.get_parameter("decoder.0.norm.rho").fill_(1.5)
    generators.after()
    assert trainer.b_to_a.get_parameter("decoder.0.norm.rho").max() == 1.0


@pytest.mark.parametrize("scale", ["global", "local"])
def test_images_too_small_for_a_discriminator_are_refused(scale: str) -> None:
    options = FEW_LAYERS.model_copy(update={f"{scale}_layers": 5})
    with pytest.raises(TrainingError) as error:
        UGATITTrainer(UGATIT(TINY), options)
    assert f"the {scale} discriminators have 5 layers" in str(error.value)
    assert "image_size=24" in error.value.fix


def test_the_advised_size_is_accepted() -> None:
    config = TINY.model_copy(update={"image_size": smallest_side(5)})
    UGATITTrainer(UGATIT(config), FEW_LAYERS.model_copy(update={"global_layers": 5}))


@pytest.mark.parametrize("size", [4, 10, 0])
def test_sizes_that_no_generator_takes_are_refused(size: int) -> None:
    with pytest.raises(ValidationError):
        Config(image_size=size)


def test_two_domains_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two different ones"):
        Config(domains=("cat", "cat"))


def test_every_parameter_learns_from_one_phase_only(trainer: UGATITTrainer, batch: dict[str, Tensor]) -> None:
    stage = trainer.stages()[0]
    step = Step(1, batch, trainer.translations(Step(1, batch, None)))
    learning = [[p for g in phase.optimizer.param_groups for p in g["params"]] for phase in stage.phases]
    everything = [p for network in trainer.all_networks.values() for p in network.parameters()]
    assert {id(p) for p in everything} == {id(p) for phase in learning for p in phase}
    assert len(everything) == sum(len(phase) for phase in learning)
    for phase, parameters in zip(stage.phases, learning, strict=True):
        total = torch.stack(list(phase.losses(step).values())).sum()
        gradients = torch.autograd.grad(total, parameters, retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_the_discriminators_send_nothing_back_to_the_generators(
    trainer: UGATITTrainer, batch: dict[str, Tensor]
) -> None:
    shared = trainer.translations(Step(1, batch, None))
    total = torch.stack(list(trainer.discriminator_losses(Step(1, batch, shared)).values())).sum()
    found = torch.autograd.grad(total, list(trainer.a_to_b.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in found)


@pytest.mark.parametrize(
    ("weight", "losses"),
    [
        ("adversarial_weight", 8),
        ("cycle_weight", 2),
        ("identity_weight", 2),
        ("cam_weight", 2),
    ],
)
def test_a_weight_scales_its_terms_and_no_other(weight: str, losses: int, batch: dict[str, Tensor]) -> None:
    def generator_losses(options: Options) -> dict[str, float]:
        torch.manual_seed(0)
        trainer = UGATITTrainer(UGATIT(TINY), options)
        found = trainer.generator_losses(Step(1, batch, trainer.translations(Step(1, batch, None))))
        return {name: loss.item() for name, loss in found.items()}

    once = generator_losses(FEW_LAYERS)
    thrice = generator_losses(FEW_LAYERS.model_copy(update={weight: 3 * getattr(FEW_LAYERS, weight)}))
    ratios = [thrice[name] / once[name] for name in once]
    assert sorted(ratios) == pytest.approx([1.0] * (14 - losses) + [3.0] * losses, rel=1e-5)


def test_the_paper_has_no_moving_average(trainer: UGATITTrainer) -> None:
    assert trainer.ema == {}


def test_a_moving_average_covers_both_generators() -> None:
    trainer = UGATITTrainer(UGATIT(TINY), FEW_LAYERS.model_copy(update={"ema_decay": 0.99}))
    assert trainer.ema == {"a_to_b": 0.99, "b_to_a": 0.99}


def test_the_discriminators_are_as_wide_as_the_generators_unless_told() -> None:
    trainer = UGATITTrainer(UGATIT(TINY), FEW_LAYERS.model_copy(update={"discriminator_channels": None}))
    assert trainer.discriminators["local_discriminator_b"].layers[0].get_parameter("weight").shape[0] == TINY.channels


def test_the_preview_shows_both_directions(trainer: UGATITTrainer, batch: dict[str, Tensor]) -> None:
    columns = trainer.preview(batch)
    assert list(columns) == [
        "A", "A to B", "A and back", "B", "B to A", "B and back", "A: attention", "B: attention",
    ]  # fmt: skip
    assert all(column.shape == (2, 3, 16, 16) and column.abs().max() <= 1 for column in columns.values())


def test_a_constant_attention_is_no_division_by_zero() -> None:
    shown = as_image(torch.zeros(1, 1, 2, 2), torch.zeros(1, 3, 8, 8))
    assert torch.equal(shown, torch.full((1, 3, 8, 8), -1.0))


def test_the_example_data_is_what_the_data_set_reads(tmp_path: Path, trainer: UGATITTrainer) -> None:
    trainer.layout.write_example(tmp_path)
    sample = trainer.layout.open(tmp_path, seed=0).draw(0)
    assert {name: tuple(image.shape) for name, image in sample.items()} == {"A": (3, 16, 16), "B": (3, 16, 16)}
