from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.trainer import BicycleGANTrainer, Options
from i2i_registry import LayoutError, Step, TrainingError
from i2i_toolkit import wasserstein, write_unpaired_example

TINY = Config(image_size=32, levels=5, channels=2, encoder_channels=2, latent_dim=3)
FEW = Options(discriminator_channels=2, discriminator_layers=2)

Batch = dict[str, Tensor]


def make_trainer(config: Config = TINY, **options: object) -> BicycleGANTrainer:
    torch.manual_seed(0)
    model = BicycleGAN(config)
    trainer = BicycleGANTrainer(model, Options.model_validate(FEW.model_dump() | options))
    with torch.no_grad():  # the release's start is so small that one could mistake rounding for it
        for network in trainer.all_networks.values():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return trainer


def make_batch(count: int = 2) -> Batch:
    torch.manual_seed(1)
    return {name: torch.rand(count, 3, 32, 32) * 2 - 1 for name in ("input", "target")}


def terms_of(trainer: BicycleGANTrainer, batch: Batch | None = None) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return dict(trainer.losses(Step(number=1, batch=batch or make_batch(), shared=None)))


def reached(trainer: BicycleGANTrainer, *losses: Tensor) -> set[str]:
    """The networks that get a gradient from these losses."""
    torch.stack(losses).sum().backward()
    networks = {name: [p.grad for p in network.parameters()] for name, network in trainer.all_networks.items()}
    return {name for name, gradients in networks.items() if any(g is not None and bool(g.any()) for g in gradients)}


# --- One step ---------------------------------------------------------------------------------------------------------


def test_the_latent_loss_teaches_the_generator_and_not_the_encoder() -> None:
    trainer = make_trainer()
    assert reached(trainer, terms_of(trainer)["latent"]) == {"generator"}


def test_the_losses_of_encoded_styles_teach_encoder_and_generator() -> None:
    trainer = make_trainer()
    losses = terms_of(trainer)
    assert reached(trainer, losses["l1"], losses["encoded_gan"]) == {"generator", "encoder"}


@pytest.mark.parametrize("style", ["encoded", "random"])
def test_a_discriminators_losses_teach_it_alone(style: str) -> None:
    trainer = make_trainer()
    losses = terms_of(trainer)
    learning = reached(trainer, losses[f"discriminator_{style}_fake"], losses[f"discriminator_{style}_real"])
    assert learning == {f"discriminator_{style}"}


def test_the_random_style_is_judged_beside_the_second_half() -> None:
    trainer = make_trainer()
    batch = make_batch()
    other = {**batch, "target": torch.cat([batch["target"][:1], -batch["target"][1:]])}
    before, after = terms_of(trainer, batch), terms_of(trainer, other)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"discriminator_random_real"}


def test_a_batch_norm_never_sees_two_kinds_of_images_at_once() -> None:
    trainer = make_trainer(TINY.model_copy(update={"norm": "batch"}))
    source = make_batch()["input"]
    latents = {"encoded": torch.zeros(2, 3), "random": torch.ones(2, 3)}
    made = trainer.translations(source, latents)
    assert torch.equal(made["random"], trainer.translations(source, {"random": latents["random"]})["random"])


def test_a_wasserstein_critic_raises_the_real_and_lowers_the_fake() -> None:
    logits = torch.tensor([1.0, 3.0])
    assert (float(wasserstein(logits, 1.0)), float(wasserstein(logits, 0.0))) == (-2.0, 2.0)


def test_the_rate_is_the_papers_with_its_400_epochs() -> None:
    (phase,) = make_trainer(steps=Options().steps).stages()[0].phases
    by_epoch = [phase.learning_rate(200 * epoch + 1) for epoch in range(400)]  # 200 pairs of pairs
    assert by_epoch == pytest.approx([1.0 - max(0, epoch + 1 - 200) / 201 for epoch in range(400)])


def test_the_learning_rate_falls_in_the_second_half_unless_told() -> None:
    (phase,) = make_trainer(steps=8).stages()[0].phases
    assert [phase.learning_rate(step) for step in range(1, 9)] == pytest.approx([1.0] * 4 + [0.8, 0.6, 0.4, 0.2])


# --- Methods and options ----------------------------------------------------------------------------------------------


def test_a_cvae_gan_has_the_losses_of_encoded_styles_only() -> None:
    trainer = make_trainer(TINY.model_copy(update={"method": "cvae_gan"}))
    expected = {"kl", "l1", "encoded_gan", "discriminator_encoded_fake", "discriminator_encoded_real"}
    assert set(terms_of(trainer)) == expected
    assert set(trainer.all_networks) == {"generator", "encoder", "discriminator_encoded"}


def test_a_clr_gan_has_the_losses_of_random_styles_only() -> None:
    trainer = make_trainer(TINY.model_copy(update={"method": "clr_gan"}))
    expected = {"latent", "random_gan", "discriminator_random_fake", "discriminator_random_real"}
    assert set(terms_of(trainer)) == expected


def test_a_clr_gans_encoder_learns_from_the_latent_loss() -> None:
    trainer = make_trainer(TINY.model_copy(update={"method": "clr_gan"}))
    assert reached(trainer, terms_of(trainer)["latent"]) == {"generator", "encoder"}
    assert all(not parameter.requires_grad for parameter in trainer.encoder.log_variance.parameters())


@pytest.mark.parametrize("method", ["cvae_gan", "clr_gan"])
def test_methods_of_one_style_use_the_whole_batch(method: str) -> None:
    trainer = make_trainer(TINY.model_copy(update={"method": method}))
    assert len(trainer.pairs(make_batch(4)).source) == 4


@pytest.mark.parametrize("style", ["encoded", "random"])
def test_a_style_without_weight_has_no_discriminator(style: str) -> None:
    trainer = make_trainer(TINY, **{f"{style}_gan_weight": 0.0})
    assert f"discriminator_{style}" not in trainer.all_networks
    assert f"{style}_gan" not in terms_of(trainer)


def test_one_discriminator_may_judge_both_styles() -> None:
    trainer = make_trainer(one_discriminator=True)
    first, second = trainer.judges().values()
    assert first is second
    losses = terms_of(trainer)
    assert reached(trainer, losses["discriminator_encoded_fake"], losses["discriminator_random_real"]) == {
        "discriminator_shared"
    }


def test_a_conditional_discriminator_notices_the_source() -> None:
    trainer = make_trainer(conditional_discriminator=True)
    batch = make_batch()
    other = {**batch, "input": torch.cat([batch["input"][:1], -batch["input"][1:]])}
    before, after = terms_of(trainer, batch), terms_of(trainer, other)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"discriminator_random_real"}


def test_the_preview_shows_the_pair_its_style_and_random_styles() -> None:
    columns = make_trainer().preview(make_batch(3))
    assert list(columns) == ["input", "target", "in the target's style", "style 1", "style 2", "style 3"]
    assert all(images.shape == (3, 3, 32, 32) for images in columns.values())


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_odd_batch_is_refused_when_options_are_made(batch_size: int) -> None:
    with pytest.raises(ValidationError, match=f"batch_size={batch_size} is odd.*use {batch_size + 1}"):
        Options(batch_size=batch_size)


def test_an_odd_part_of_a_batch_is_refused() -> None:
    trainer = make_trainer()
    with pytest.raises(TrainingError, match="even"):
        terms_of(trainer, make_batch(1))


def test_a_generator_alone_cannot_be_trained() -> None:
    with pytest.raises(TrainingError, match="encoder=None"):
        make_trainer(TINY.model_copy(update={"encoder": None}))


def test_images_too_small_for_the_discriminators_are_refused() -> None:
    with pytest.raises(TrainingError, match="at least 48 pixels"):
        make_trainer(discriminator_layers=3)


def test_unpaired_folders_are_refused(tmp_path: Path) -> None:
    write_unpaired_example(tmp_path, size=32)
    with pytest.raises(LayoutError, match="unpaired"):
        make_trainer().layout.open(tmp_path, seed=0)
