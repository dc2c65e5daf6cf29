from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i_plugin_singan.config import PRESETS, Config
from i2i_plugin_singan.model import SinGAN
from i2i_plugin_singan.networks import UNTRAINED
from i2i_plugin_singan.networks.palette import palette_of
from i2i_plugin_singan.trainer import Options, SinGANTrainer
from i2i_registry import LayoutError, Step, TrainingError
from i2i_toolkit import Engine, open_accelerator, resample_by, write_single_example

if TYPE_CHECKING:
    from i2i_registry import Tensors

TINY = Config(height=18, width=22, scales=3, coarsest=10, channels=2, layers=3)
SHORT = Options(steps_per_scale=2, critic_steps=2, generator_steps=2)


def trainer(config: Config = TINY, **changes: object) -> SinGANTrainer:
    torch.manual_seed(0)
    return SinGANTrainer(SinGAN(config), SHORT.model_copy(update=changes))


def image(config: Config = TINY) -> dict[str, Tensor]:
    return {"image": torch.rand(1, 3, config.height, config.width) * 2 - 1}


def statistics(built: SinGANTrainer, scale: int) -> Tensor:
    return built.pyramid.level(scale).get_buffer("blocks.0.norm.running_mean")


def write(folder: Path, width: int, height: int) -> Path:
    path = folder / "image.png"
    Image.new("RGB", (width, height), (90, 120, 60)).save(path)
    return path


def trained(built: SinGANTrainer, folder: Path) -> None:
    write_single_example(folder, (built.config.height, built.config.width))
    source = built.layout.open(folder, 0)
    for _ in Engine(built, source, accelerator=open_accelerator("cpu")).phases():
        pass


def test_the_image_decides_height_width_and_scales(tmp_path: Path) -> None:
    root = write(tmp_path, 600, 400)
    config = SinGANTrainer.config_for(Config(), Options(), root)
    assert config == Config(height=167, width=250, scales=8)
    smaller = SinGANTrainer.config_for(Config(), Options(max_size=128), root)
    assert isinstance(smaller, Config)
    assert (smaller.height, smaller.width) == (86, 128)


def test_super_resolution_counts_its_scales_in_its_own_way(tmp_path: Path) -> None:
    # The recorded case: 64x80 pixels, at most 60, six scales.
    root = write(tmp_path, 80, 64)
    config = SinGANTrainer.config_for(PRESETS["super_resolution"], Options(max_size=60), root)
    assert isinstance(config, Config)
    assert (config.height, config.width, config.scales) == (48, 60, 6)


def test_a_wrong_folder_changes_nothing(tmp_path: Path) -> None:
    assert SinGANTrainer.config_for(Config(), Options(), tmp_path) == Config()


@pytest.mark.parametrize(("width", "height", "word"), [(24, 300, "larger --max-size"), (20, 20, "larger image")])
def test_an_image_too_small_for_a_scale_is_refused(tmp_path: Path, width: int, height: int, word: str) -> None:
    root = write(tmp_path, width, height)
    with pytest.raises(LayoutError, match="at least 25"):
        SinGANTrainer.config_for(Config(), Options(), root)
    with pytest.raises(LayoutError) as error:
        trainer(Config(height=50, width=50, scales=3, channels=2), max_size=299 if width == 24 else 250).layout.open(
            root, 0
        )
    assert "at least 25" in error.value.expected
    assert word in error.value.fix


def test_an_image_of_another_size_is_brought_to_the_configs() -> None:
    built = trainer(max_size=30)
    assert built.prepared(torch.rand(1, 3, 60, 40)).shape[-2:] == (18, 22)
    same = torch.rand(1, 3, 18, 22) * 2 - 1
    assert torch.equal(built.prepared(same), resample_by(same, 1.0))


def test_the_rate_falls_after_four_fifths_of_a_scale() -> None:
    stage = trainer(steps_per_scale=2000).stages()[1]
    assert len(stage.phases) == 4
    rates = [phase.learning_rate(step) for phase in stage.phases for step in (1, 1600, 1601, 2000)]
    assert rates == 4 * [1.0, 1.0, 0.1, 0.1]


def test_all_updates_of_a_network_share_an_optimizer() -> None:
    stage = trainer().stages()[0]
    assert [phase.name for phase in stage.phases] == ["critic_1", "critic_2", "generator_1", "generator_2"]
    assert len({id(phase.optimizer) for phase in stage.phases}) == 2


def test_a_scale_takes_over_the_weights_below_where_they_fit() -> None:
    config = TINY.model_copy(update={"scales": 6})
    built, batch = trainer(config), image(config)
    built.begin(0, batch)
    statistics(built, 0).fill_(3)
    built.begin(1, batch)
    for lower, level in ((built.pyramid.level(0), built.pyramid.level(1)), (built.critic(0), built.critic(1))):
        for key, tensor in lower.state_dict().items():
            if key not in ("real", "amplitude"):
                assert torch.equal(tensor, level.state_dict()[key]), key
    before = built.pyramid.level(4).to_image.weight.clone()
    built.begin(4, batch)  # twice as wide as scale 3
    assert torch.equal(before, built.pyramid.level(4).to_image.weight)


def test_scales_that_are_not_begun_are_marked_until_they_are() -> None:
    built, batch = trainer(), image()
    built.begin(0, batch)
    assert [float(built.pyramid.level(scale).amplitude) for scale in range(3)] == [1.0, UNTRAINED, UNTRAINED]
    built.begin(1, batch)
    assert float(built.pyramid.level(1).amplitude) > 0 > float(built.pyramid.level(2).amplitude)


def test_the_amplitude_is_a_share_of_the_root_mean_square_error() -> None:
    built, batch = trainer(noise_amplitude=0.3), image()
    built.begin(0, batch)
    built.begin(1, batch)
    below = built.memory.below(1)[..., 3:-3, 3:-3]
    error = (built.pyramid.level(1).real - below).square().mean().sqrt()
    assert float(built.pyramid.level(1).amplitude) == pytest.approx(0.3 * float(error))


def test_the_stored_noise_is_the_one_of_the_last_step() -> None:
    built, batch = trainer(), image()
    built.begin(0, batch)
    drawn: list[Tensor] = []
    for _ in range(2):
        built.make(0, Step(1, batch, None))
        drawn.append(built.pyramid.noise.clone())
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1][:, 0], drawn[1][:, 2])
    assert not drawn[1][..., :3, :].any()
    built.begin(1, batch)
    built.make(1, Step(1, batch, None))
    assert torch.equal(drawn[1], built.pyramid.noise)


def test_every_critic_step_sees_another_image_and_the_noise_of_the_step() -> None:
    built, batch = trainer(critic_steps=3), image()
    built.begin(0, batch)
    built.begin(1, batch)
    shared = built.make(1, Step(1, batch, None))
    fakes = shared.fakes
    assert [fake.requires_grad for fake in fakes] == [False, False, True]
    assert not torch.equal(fakes[0], fakes[1])
    built.pyramid.level(1).train()
    assert torch.allclose(built.pyramid.level(1)(shared.noise, shared.below), fakes[2])


def test_later_generator_steps_make_the_image_again() -> None:
    built, batch = trainer(), image()
    built.begin(0, batch)
    shared = built.make(0, Step(1, batch, None))
    step = Step(number=1, batch=batch, shared=shared)
    with torch.no_grad():
        built.pyramid.level(0).to_image.weight.mul_(2)
    first, second = (built.generator_losses(0, number, step)["adversarial"] for number in (1, 2))
    built.critic(0).eval()
    assert not torch.equal(first, second)


def test_only_the_scale_in_training_moves_its_statistics() -> None:
    built, batch = trainer(), image()
    built.begin(0, batch)
    built.begin(1, batch)
    before = statistics(built, 0).clone()
    built.make(1, Step(1, batch, None))
    assert torch.equal(before, statistics(built, 0))
    assert int(built.pyramid.level(1).get_buffer("blocks.0.norm.num_batches_tracked")) == 2


def test_super_resolution_reconstructs_ten_times_as_hard() -> None:
    enlarging = TINY.model_copy(update={"mode": "super_resolution"})
    assert trainer().reconstruction_weight == 10
    assert trainer(enlarging).reconstruction_weight == 100
    assert trainer(enlarging, reconstruction_weight=7.0).reconstruction_weight == 7


def test_paint_trains_one_scale_again_on_few_colours(tmp_path: Path) -> None:
    first = trainer()
    trained(first, tmp_path / "first")
    again = trainer(TINY.model_copy(update={"paint_scale": 1}))
    again.pyramid.load_state_dict(first.pyramid.state_dict())
    assert [stage.name for stage in again.stages()] == ["scale_1"]
    trained(again, tmp_path / "again")
    old, new = first.pyramid.state_dict(), again.pyramid.state_dict()
    changed = {key.split(".")[1] for key in old if not torch.equal(old[key], new[key])}
    assert changed == {"1"}
    palette = palette_of(again.pyramid.level(1).real)
    assert torch.equal(again.memory.palette, palette)
    inside = again.memory.below(1)[0, :, 3:-3, 3:-3].flatten(1).T
    assert all(bool((colour == palette).all(dim=1).any()) for colour in inside)


def test_paint_needs_a_trained_pyramid() -> None:
    built = trainer(TINY.model_copy(update={"paint_scale": 1}))
    with pytest.raises(TrainingError, match="not trained"):
        built.begin(1, image())


def test_a_training_stopped_in_its_first_scale_can_be_looked_at(tmp_path: Path) -> None:
    built = trainer()
    write_single_example(tmp_path, (18, 22))
    source = built.layout.open(tmp_path, 0)
    engine = Engine(built, source, accelerator=open_accelerator("cpu"))
    next(iter(engine.phases()))
    columns: Tensors = engine.preview(source.preview(1))
    assert set(columns) == {"image", "reconstruction", "sample 1", "sample 2"}
    assert all(tuple(column.shape) == (1, 3, 18, 22) for column in columns.values())
