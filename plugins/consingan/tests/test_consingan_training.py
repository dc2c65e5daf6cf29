from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i_plugin_consingan.config import Config, Mode
from i2i_plugin_consingan.data import LEVELS, recoloured, shuffled
from i2i_plugin_consingan.model import ConSinGAN
from i2i_plugin_consingan.trainer import ConSinGANTrainer, Options, StageTraining
from i2i_registry import LayoutError, Step, TrainingError
from i2i_toolkit import write_single_example

TINY = Config(height=24, width=28, stages=5, coarsest=12, channels=4, layers=2)


def trainer(config: Config = TINY, **changes: object) -> ConSinGANTrainer:
    torch.manual_seed(0)
    options = Options.model_validate({"stage_steps": 10, **changes})
    return ConSinGANTrainer(ConSinGAN(config), options)


def batch(config: Config = TINY) -> dict[str, Tensor]:
    torch.manual_seed(1)
    image = torch.rand(1, 3, config.height, config.width) * 2 - 1
    return {"image": image, "coarse": torch.rand(1, 3, *config.sizes[0]) * 2 - 1}


def begun(built: ConSinGANTrainer, number: int) -> StageTraining:
    """A stage whose training has begun, and all before it."""
    for stage in range(number):
        built.stage_training(stage).begin(batch(built.model.config))
    training = built.stage_training(number)
    training.begin(batch(built.model.config))
    return training


def image_file(folder: Path, height: int, width: int) -> Path:
    write_single_example(folder, (height, width))
    return folder / "image.png"


# --- Schedule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "rates"),
    [
        (0, [5e-4, 5e-4, 5e-4]),  # the stage, the head, the tail
        (1, [5e-5, 5e-4, 5e-5, 5e-4]),
        (2, [5e-6, 5e-5, 5e-4, 5e-6, 5e-4]),
        (3, [5e-6, 5e-5, 5e-4, 5e-4]),  # the head and stage 0 are frozen
        (4, [5e-6, 5e-5, 5e-4, 5e-4]),
    ],
)
def test_older_stages_learn_more_slowly_and_the_oldest_not_at_all(number: int, rates: list[float]) -> None:
    groups = trainer().stages()[number].phases[-1].optimizer.param_groups
    assert [group["lr"] for group in groups] == pytest.approx(rates)


def test_a_step_is_three_updates_of_the_critic_and_one_gradient_of_the_generator_taken_three_times() -> None:
    (stage, *_) = trainer().stages()
    assert [phase.name for phase in stage.phases] == ["critic_1", "critic_2", "critic_3", "generator"]
    assert [phase.repeat for phase in stage.phases] == [1, 1, 1, 3]
    assert len({id(phase.optimizer) for phase in stage.phases[:3]}) == 1


def test_the_rates_fall_after_four_fifths_of_a_stage() -> None:
    factor = trainer(stage_steps=2000).stages()[1].phases[0].learning_rate
    assert [factor(step) for step in (1, 1600, 1601, 2000)] == [1.0, 1.0, 0.1, 0.1]


# --- The beginning of a stage -----------------------------------------------------------------------------------------


def test_a_new_stage_is_a_copy_of_the_last_with_noise_of_its_own() -> None:
    built = trainer()
    begun(built, 1)
    first, second, *_ = built.model.generator.stages
    for one, other in zip(first.layers.parameters(), second.layers.parameters(), strict=True):
        assert torch.equal(one, other)
    assert float(second.noise.std()) == pytest.approx(1, abs=0.05)
    assert built.model.generator.begun_count == 2


def test_the_amplitude_is_a_tenth_of_what_the_stages_before_miss() -> None:
    training = begun(trainer(), 2)
    generator = training.generator
    amplitude = generator.stages[2].amplitude.clone()
    generator.stages[2].amplitude.zero_()
    missed = (generator(generator.stored(3)) - generator.stages[2].image).detach()
    assert float(amplitude) == pytest.approx(0.1 * float(missed.square().mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("mode", ["generation", "retarget", "harmonization", "editing", "animation"])
def test_stage_0_reconstructs_from_the_image_or_from_noise(mode: Mode) -> None:
    training = begun(trainer(TINY.model_copy(update={"mode": mode})), 0)
    difference = float((training.generator.stages[0].noise - training.image).std())
    expected = {"animation": 1.1, "editing": 0.1}.get(mode, 0.0)
    assert difference == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("mode", ["generation", "harmonization", "editing"])
def test_stage_0_is_fed_noise_or_an_image(mode: Mode) -> None:
    config = TINY.model_copy(update={"mode": mode})
    training, sample = begun(trainer(config), 1), batch(config)
    first, second = training.draw_noise(sample)
    spread = float((first - sample["coarse"]).std())
    assert spread == pytest.approx({"harmonization": 0.0, "editing": 0.1}.get(mode, 1.15), rel=0.25)
    assert float(second.std()) == pytest.approx(1, abs=0.05)


def test_all_stages_keep_the_image_at_their_size() -> None:
    built = trainer()
    begun(built, 0)
    assert [tuple(stage.image.shape[-2:]) for stage in built.model.generator.stages] == list(TINY.sizes)
    assert torch.equal(built.model.generator.stages[-1].image, batch()["image"])


# --- Losses -----------------------------------------------------------------------------------------------------------


def test_the_critics_gradient_is_that_of_the_textbook() -> None:
    training = begun(trainer(), 1)
    critic, real = training.critic, training.image
    fake = torch.rand_like(real)
    parameters = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    torch.manual_seed(3)
    losses = training.critic_losses(Step(number=1, batch={}, shared=fake))
    found = torch.autograd.grad(torch.stack(list(losses.values())).sum(), parameters)
    torch.manual_seed(3)
    share = training.draw_share(real)
    between = (share * real + (1 - share) * fake).requires_grad_()
    height, width = (side - TINY.patch + 1 for side in real.shape[-2:])
    (slopes,) = torch.autograd.grad(height * width * critic(between).sum(), between, create_graph=True)
    penalty = 0.1 * (slopes.norm(dim=1) - 1).square().mean()
    loss = critic(fake).mean() - critic(real).mean() + penalty
    torch.testing.assert_close(found, torch.autograd.grad(loss, parameters), rtol=1e-4, atol=1e-6)


def test_what_frozen_stages_make_of_the_stored_noise_is_kept() -> None:
    training = begun(trainer(), 4)
    expected = training.generator(training.generator.stored(5))
    torch.testing.assert_close(training.reconstruction(), expected, rtol=0, atol=1e-6)
    training.generator.head.conv.weight.data.zero_()  # frozen, so nobody would
    torch.testing.assert_close(training.reconstruction(), expected, rtol=0, atol=1e-6)


def test_the_generator_is_held_to_the_image_ten_times() -> None:
    training = begun(trainer(), 0)
    losses = training.generator_losses(Step(number=1, batch={}, shared=torch.zeros_like(training.image)))
    missed = (training.reconstruction() - training.image).detach().square().mean()
    assert float(losses["reconstruction"].detach()) == pytest.approx(10 * float(missed), rel=1e-5)


# --- Data -------------------------------------------------------------------------------------------------------------


def test_the_size_comes_from_the_image(tmp_path: Path) -> None:
    file = image_file(tmp_path, 100, 130)
    config = ConSinGANTrainer.config_for(Config(), Options(max_size=65), file)
    assert isinstance(config, Config)
    assert (config.height, config.width) == (50, 65)
    sample = trainer(config, max_size=65).layout.open(file, 0).draw(0)
    assert sample.keys() == {"image"}
    assert sample["image"].shape == (3, 50, 65)


@pytest.mark.parametrize(
    ("size", "max_size", "fix"), [((20, 60), 250, "larger image"), ((28, 300), 250, "less extreme format")]
)
def test_images_smaller_than_stage_0_are_refused(
    size: tuple[int, int], max_size: int, fix: str, tmp_path: Path
) -> None:
    file = image_file(tmp_path, *size)
    with pytest.raises(LayoutError, match="at least 25") as caught:
        ConSinGANTrainer.config_for(Config(), Options(max_size=max_size), file)
    assert fix in caught.value.fix


def test_a_folder_of_another_layout_is_left_to_the_data_set(tmp_path: Path) -> None:
    assert ConSinGANTrainer.config_for(Config(), Options(), tmp_path) == Config()
    with pytest.raises(LayoutError):
        trainer().layout.open(tmp_path, seed=0)


@pytest.mark.parametrize("mode", ["harmonization", "editing"])
def test_stage_0_is_fed_an_image_that_was_changed_at_random(mode: Mode, tmp_path: Path) -> None:
    config = TINY.model_copy(update={"mode": mode, "height": 48, "width": 56, "coarsest": 24})
    source = trainer(config).layout.open(image_file(tmp_path, 48, 56), 0)
    samples = [source.draw(position)["coarse"] for position in range(8)]
    assert torch.equal(samples[3], source.draw(3)["coarse"])
    assert len({float(sample.sum()) for sample in samples}) > 5
    assert all(float(sample.min()) >= -1 and float(sample.max()) <= 1 for sample in samples)


def test_in_fine_tuning_it_is_the_composite_itself(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"mode": "harmonization"})
    source = trainer(config, fine_tune=True).layout.open(image_file(tmp_path, 60, 70), 0)
    assert torch.equal(source.draw(0)["coarse"], source.draw(1)["coarse"])
    assert source.describe() == {"composites": 1}


def grey(side: int = 120) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.full((side, side, 3), 100.0)


def test_harmonization_mostly_gets_holes_and_sometimes_other_colours() -> None:
    results = [recoloured(grey(), np.random.default_rng(seed)) for seed in range(400)]
    changed = np.array([(result != LEVELS * 100 / 255).any(axis=2).mean() for result in results])
    assert np.mean(changed == 0) == pytest.approx(0.1 * 0.75, abs=0.04)
    assert np.mean(changed == 1) == pytest.approx(0.25 * 6 / 7, abs=0.08)  # all but shuffled channels of grey
    assert changed[changed < 1].max() <= (60 / 120) ** 2


def test_editing_moves_parts_of_the_image_and_makes_none_up() -> None:
    image = np.arange(50 * 60 * 3, dtype=np.float64).reshape(50, 60, 3) % 255
    known = {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
    for seed in range(20):
        result = shuffled(image, np.random.default_rng(seed))
        assert {tuple(pixel) for pixel in result.reshape(-1, 3).tolist()} <= known
        assert 0 < (result != image).any(axis=2).mean() < 0.5


# --- Fine-tuning ------------------------------------------------------------------------------------------------------


def test_fine_tuning_trains_the_last_stage_from_what_is_there() -> None:
    built = trainer(TINY.model_copy(update={"mode": "harmonization"}))
    begun(built, 4)
    tuned = trainer(built.model.config, fine_tune=True)
    tuned.model.generator.load_state_dict(built.model.generator.state_dict())
    (stage,) = tuned.stages()
    stage.begin(batch())
    assert stage.name == "stage_4"
    for key, value in built.model.generator.state_dict().items():
        assert torch.equal(value, tuned.model.generator.state_dict()[key])


def test_fine_tuning_without_weights_is_refused() -> None:
    (stage,) = trainer(fine_tune=True).stages()
    with pytest.raises(TrainingError, match="nobody has trained") as caught:
        stage.begin(batch())
    assert "--init" in caught.value.fix


def test_fine_tuning_a_sampler_on_another_image_is_refused() -> None:
    built = trainer(fine_tune=True)
    built.model.generator.stages[-1].image.data.fill_(0.9)
    (stage,) = built.stages()
    with pytest.raises(TrainingError, match="another image"):
        stage.begin(batch())


def test_the_preview_shows_all_at_the_images_size(tmp_path: Path) -> None:
    for mode in ("generation", "harmonization"):
        built = trainer(TINY.model_copy(update={"mode": mode}))
        begun(built, 1)
        Image.new("RGB", (28, 24), (90, 20, 160)).save(tmp_path / "image.png")
        columns = built.preview(built.layout.open(tmp_path, 0).preview(2))
        assert {tuple(column.shape) for column in columns.values()} == {(1, 3, 24, 28)}
