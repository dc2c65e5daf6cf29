from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_plugin_ingan.config import TRAININGS, Config, Options
from i2i_plugin_ingan.data import Crops, CropsLayout, crop_size, learned_size, smallest_image
from i2i_plugin_ingan.model import InGAN
from i2i_plugin_ingan.trainer import InGANTrainer
from i2i_registry import LayoutError, TrainingError
from i2i_toolkit import write_single_example

TINY = Config(height=40, width=56, channels=2, downscales=2, blocks=1)
NARROW = Options(critic_channels=2)


def trainer(config: Config = TINY, **changes: object) -> InGANTrainer:
    return InGANTrainer(InGAN(config), NARROW.model_copy(update=changes))


def drawn(root: Path, size: tuple[int, int] = (40, 56)) -> Path:
    write_single_example(root, size)
    return root


def sample(size: tuple[int, int] = (32, 64)) -> dict[str, Tensor]:
    image = 2 * torch.rand(1, 3, 36, 52, generator=torch.Generator().manual_seed(0)) - 1
    return {"image": image, "size": torch.tensor([size]), "shifts": torch.zeros(1, 2, dtype=torch.float64)}


# --- Schedules --------------------------------------------------------------------------------------------------------


def test_the_learning_rate_stays_and_then_falls_to_nothing() -> None:
    options = Options()
    assert [options.learning_rate_factor(i) for i in (0, 19_999, 20_000, 47_500, 75_000)] == [1, 1, 1, 0.5, 0]


def test_the_range_grows_to_all_of_it() -> None:
    assert [Options().range_share(i) for i in (0, 5_000, 10_000, 60_000)] == [0, 0.5, 1, 1]


def test_the_way_back_alone_begins_after_its_iteration() -> None:
    growing, inverse = trainer(steps=20, inverse_from=7).stages()
    assert (growing.steps, inverse.steps) == (8, 12)
    assert [phase.name for phase in growing.phases] == ["generator", "critic"]
    assert [phase.name for phase in inverse.phases] == ["generator", "inverse", "critic"]
    assert inverse.phases[0].optimizer is inverse.phases[1].optimizer is growing.phases[0].optimizer
    assert inverse.phases[2].optimizer is growing.phases[1].optimizer


@pytest.mark.parametrize("steps", [30, 2_000, 75_000])
def test_a_training_of_any_length_has_the_course_of_the_papers(steps: int) -> None:
    options = Options(steps=steps)
    moments = [options.inverse_from, options.full_range_at, options.decay_from, options.balanced_at]
    assert [options.iteration_of(moment) for moment in moments] == pytest.approx(
        [n * steps / 75_000 for n in (10_000, 10_000, 20_000, 25_000)], abs=0.5
    )
    growing, inverse = trainer(steps=steps).stages()
    assert growing.steps + inverse.steps == steps
    assert inverse.phases[0].learning_rate(1) > 0


@pytest.mark.parametrize(
    ("given", "iteration"),
    [(0, 0), (1, 1), ("1", 1), ("7", 7), (1.0, 50), ("1.0", 50), ("1.", 50), (".5", 25)],
)
def test_a_moment_without_a_point_is_an_iteration_and_one_with_a_point_a_share(given: object, iteration: int) -> None:
    options = Options.model_validate({"steps": 50, "inverse_from": given})
    again = Options.model_validate_json(options.model_dump_json())
    assert [each.iteration_of(each.inverse_from) for each in (options, again)] == [iteration] * 2


def test_a_training_that_never_reaches_the_iteration_has_one_stage() -> None:
    assert [stage.name for stage in trainer(steps=5, inverse_from=10_000).stages()] == ["growing"]


def test_the_second_stage_goes_on_where_the_first_one_ends() -> None:
    growing, inverse = trainer(steps=20, inverse_from=9, decay_from=5).stages()
    rates = [stage.phases[0].learning_rate(step) for stage, step in ((growing, 10), (inverse, 1))]
    assert rates == pytest.approx([11 / 15, 10 / 15])


# --- Data -------------------------------------------------------------------------------------------------------------


def test_crops_are_smaller_than_the_image() -> None:
    assert crop_size(Config(height=256, width=512), Options()) == (248, 256)
    assert crop_size(Config(height=96, width=104), Options()) == (88, 96)


def crops(root: Path, options: Options) -> Crops:
    learned = learned_size(TINY, options)
    return CropsLayout((40, 56), learned, config=TINY, options=options, crop=(36, 52)).open(root, 0)


def sizes(root: Path, first: int, **changes: object) -> Tensor:
    source = crops(root, NARROW.model_copy(update=changes))
    return torch.stack([source.draw(first + position)["size"] for position in range(200)])


def test_at_first_results_have_the_size_of_the_crop(tmp_path: Path) -> None:
    assert (sizes(drawn(tmp_path), 0)[0] == torch.tensor([36, 52])).all()


def test_in_the_end_results_have_all_sizes(tmp_path: Path) -> None:
    found = sizes(drawn(tmp_path), 10_000)
    assert found.min() >= 16
    assert (found % 4 == 0).all()
    # 2.25 times the crop, and the mean of the two scales, rounded up to 4 pixels
    assert (found.amax(0) <= torch.tensor([84, 120])).all()
    assert found[:, 1].double().mean() == pytest.approx(52 * 1.2 + 2, rel=0.1)


def test_shifts_are_drawn_where_they_are_asked_for(tmp_path: Path) -> None:
    options = NARROW.model_copy(update={"largest_shift": 0.3})
    source = crops(drawn(tmp_path), options)
    shifts = torch.stack([source.draw(position)["shifts"] for position in range(10_000, 10_100)])
    assert 0.25 < float(shifts.abs().max()) <= 0.3
    assert float(shifts.min()) < -0.2


def test_a_large_image_is_reduced(tmp_path: Path) -> None:
    options = NARROW.model_copy(update={"max_size": 56})
    source = crops(drawn(tmp_path, (90, 120)), options)
    assert source.preview(1)["image"].shape == (1, 3, 40, 56)


def test_an_image_below_the_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="32x56"):
        trainer().layout.open(drawn(tmp_path, (35, 56)), 0)


def test_the_config_gets_the_size_of_the_image(tmp_path: Path) -> None:
    found = InGANTrainer.config_for(Config(), Options(), drawn(tmp_path, (90, 123)))
    assert found == Config(height=88, width=120)
    reduced = InGANTrainer.config_for(Config(), Options(max_size=60), tmp_path)
    assert reduced == Config(height=40, width=56)


def test_a_folder_of_another_layout_changes_no_config(tmp_path: Path) -> None:
    assert InGANTrainer.config_for(Config(), Options(), tmp_path) == Config()


def test_an_image_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="at least 32 on the shorter side"):
        InGANTrainer.config_for(Config(), Options(), drawn(tmp_path, (31, 100)))
    assert smallest_image(Config()) == 32


def test_crops_without_a_scale_for_the_critic_are_refused() -> None:
    with pytest.raises(TrainingError, match="16x16"):
        trainer(crop_px=16)


# --- A step -----------------------------------------------------------------------------------------------------------


def test_dithering_stays_below_a_level_of_8_bits() -> None:
    image = torch.zeros(1, 3, 40, 40)
    noise = trainer().dithered(image)
    assert float(noise.abs().max()) <= 1 / 255
    assert float(noise.std()) == pytest.approx(1 / 255 / 3**0.5, rel=0.1)


def test_previews_have_the_sizes_of_their_titles() -> None:
    columns = trainer().preview({"image": sample()["image"]})
    assert {title: tuple(column.shape[2:]) for title, column in columns.items()} == {
        "image": (36, 52),
        "wide": (36, 76),
        "tall": (52, 52),
        "small": (24, 36),
        "wide and back": (36, 52),
    }


def test_the_quick_training_is_short() -> None:
    quick = TRAININGS["quick"]
    assert quick.steps <= 6_000
    assert quick.iteration_of(quick.inverse_from) < quick.steps
