from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.model import StarGAN2
from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer, diversity_factor
from i2i_registry import LayoutError, Step
from i2i_runtime import LabelInput
from i2i_toolkit import Engine, open_accelerator, write_domains_example

TINY = Config(image_size=32, channel_base=128, max_channels=8, latent_dim=4, style_dim=6, mapping_channels=8)
FACES = TINY.model_copy(update={"image_size": 64, "channel_base": 256, "high_pass": 1.0, "fan_channels": 2})
PHASES = ("discriminator_latent", "discriminator_reference", "generator_latent", "generator_reference")


def make_trainer(config: Config = TINY, **options: object) -> StarGAN2Trainer:
    torch.manual_seed(0)
    return StarGAN2Trainer(StarGAN2(config), Options.model_validate({"batch_size": 3, "steps": 4} | options))


def parameters_of(trainer: StarGAN2Trainer) -> dict[str, dict[str, Tensor]]:
    return {n: {k: p.detach().clone() for k, p in net.named_parameters()} for n, net in trainer.all_networks.items()}


def moved(before: Mapping[str, Mapping[str, Tensor]], trainer: StarGAN2Trainer) -> set[str]:
    after = parameters_of(trainer)
    return {n for n in before if any(not torch.equal(before[n][key], after[n][key]) for key in before[n])}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_domains_example(tmp_path, TINY.domains, size=32)
    return tmp_path


def test_each_phase_moves_its_networks_and_no_other(root: Path) -> None:
    trainer = make_trainer()
    engine = Engine(trainer, trainer.layout.open(root, 0), accelerator=open_accelerator("cpu"), seed=1)
    before, found = parameters_of(trainer), dict[str, set[str]]()
    for report in engine.phases():
        found[report.phase] = moved(before, trainer)
        before = parameters_of(trainer)
        if report.step_complete:
            break
    expected = [{"discriminator"}, {"discriminator"}, {"generator", "mapping", "style_encoder"}, {"generator"}]
    assert found == dict(zip(PHASES, expected, strict=True))


def test_one_domain_is_enough(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"domains": ("cat",)})
    write_domains_example(tmp_path, config.domains, size=32)
    trainer = make_trainer(config, steps=1)
    source = trainer.layout.open(tmp_path, 0)
    engine = Engine(trainer, source, accelerator=open_accelerator("cpu"), seed=1)
    before = parameters_of(trainer)
    reports = list(engine.phases())

    assert [report.phase for report in reports] == list(PHASES)
    assert moved(before, trainer) == set(trainer.all_networks)
    assert engine.preview(source.preview(2)).keys() >= {"cat 1", "like it"}
    (label,) = (value for value in trainer.model.operations()[0].inputs if isinstance(value, LabelInput))
    assert label.default == "cat"


def test_the_diversity_loss_fades_on_a_line() -> None:
    assert [diversity_factor(step, 4) for step in (1, 2, 3, 4, 5, 100)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(("options", "step", "share"), [({}, 3, 0.5), ({"diversity_steps": 8}, 3, 0.75)])
def test_the_weight_of_diversity_is_a_function_of_the_step(options: dict[str, object], step: int, share: float) -> None:
    losses: list[float] = []
    for number in (1, step):
        trainer = make_trainer(TINY, **options)
        batch = {name: torch.rand(3, 3, 32, 32) * 2 - 1 for name in ("image", "reference", "other_reference")}
        batch |= {"domain": torch.tensor([0, 1, 2]), "reference_domain": torch.tensor([1, 2, 0])}
        shared = trainer.shared(Step(1, batch, None))
        losses.append(float(trainer.generator_latent_losses(Step(number, batch, shared))["diversity"].detach()))
    assert losses[1] == pytest.approx(share * losses[0])


@pytest.mark.parametrize(("preset", "weight"), [("afhq", 2.0), ("celeba_hq", 1.0)])
def test_diversity_has_the_releases_weight_for_its_model(preset: str, weight: float) -> None:
    with torch.device("meta"):
        assert StarGAN2Trainer(StarGAN2(PRESETS[preset]), Options()).diversity_weight == weight
        assert StarGAN2Trainer(StarGAN2(PRESETS[preset]), Options(diversity_weight=0.5)).diversity_weight == 0.5


def test_averages_start_from_the_raw_weights_and_follow_them(root: Path) -> None:
    trainer = make_trainer(ema_decay=0.75)
    start = trainer.generator.from_rgb.weight.detach().clone()
    engine = Engine(trainer, trainer.layout.open(root, 0), accelerator=open_accelerator("cpu"))
    next(report for report in engine.phases() if report.step_complete)
    raw = trainer.generator.from_rgb.weight.detach()
    expected = raw + 0.75 * (start - raw)
    torch.testing.assert_close(engine.weights()["generator.from_rgb.weight"], expected)


def test_landmarks_are_not_learned() -> None:
    trainer = make_trainer(FACES)
    held = {id(p) for phase in trainer.stages()[0].phases for g in phase.optimizer.param_groups for p in g["params"]}
    assert trainer.model.fan is not None
    assert not any(id(p) in held or p.requires_grad for p in trainer.model.fan.parameters())


def test_previews_show_every_domain_and_a_reference(root: Path) -> None:
    trainer = make_trainer()
    columns = trainer.preview(trainer.layout.open(root, 0).preview(4))
    assert list(columns) == ["image", "cat 1", "dog 1", "wild 1", "cat 2", "dog 2", "wild 2", "reference", "like it"]
    assert all(images.shape == (4, 3, 32, 32) for images in columns.values())


def test_the_domains_are_those_that_have_a_folder(root: Path) -> None:
    other = TINY.model_copy(update={"domains": ("male", "female")})
    assert StarGAN2Trainer.config_for(other, Options(), root) == TINY
    turned = TINY.model_copy(update={"domains": ("wild", "cat", "dog")})
    assert StarGAN2Trainer.config_for(turned, Options(), root) == turned
    assert StarGAN2Trainer.config_for(other, Options(), root / "train" / "cat") == other


def test_folders_of_other_domains_are_refused_with_the_option_to_give(root: Path) -> None:
    trainer = make_trainer(TINY.model_copy(update={"domains": ("male", "female")}))
    with pytest.raises(LayoutError) as caught:
        trainer.layout.open(root, 0)
    assert caught.value.fix == "--set domains=cat,dog,wild"
