from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i_plugin_singan.config import Config
from i2i_plugin_singan.model import SinGAN, eight_bits
from i2i_plugin_singan.networks.palette import palette_of, quantised
from i2i_runtime import ScalarInput
from i2i_toolkit import resample

TINY = Config(height=18, width=22, scales=3, coarsest=10, channels=2, layers=3, enlargement=1.6)


def made(config: Config = TINY) -> SinGAN:
    torch.manual_seed(0)
    model = SinGAN(config)
    for scale in range(config.scales):
        model.pyramid.level(scale).real.uniform_(-1, 1)
    model.pyramid.eval()
    return model


def noises(model: SinGAN, count: int, first: int = 0) -> list[Tensor]:
    return [torch.randn(count, *model.config.noise_shape(scale)) for scale in range(first, model.config.scales)]


@torch.no_grad()
def run(model: SinGAN, graph: str, *inputs: Tensor) -> Tensor:
    return model.graphs()[graph].module(*inputs)


def test_each_item_of_a_batch_starts_at_its_own_scale() -> None:
    model = made()
    maps = noises(model, 3)
    start, anchor = torch.tensor([0.0, 1.0, 2.0]), torch.zeros(3)
    together = run(model, "pyramid", start, anchor, *maps)
    for item in range(3):
        alone = run(model, "pyramid", start[item, None], anchor[:1], *(each[item, None] for each in maps))
        assert torch.allclose(together[item, None], alone, atol=1e-5)
    # From scale 1 on the coarsest map is the stored one, whatever was drawn.
    again = run(model, "pyramid", start, anchor, torch.randn_like(maps[0]), *maps[1:])
    assert [torch.equal(one, other) for one, other in zip(together, again, strict=True)] == [False, True, True]


def test_the_reconstruction_is_what_the_stored_noise_gives() -> None:
    model = made()
    silent = [torch.zeros_like(each) for each in noises(model, 1)]
    found = run(model, "pyramid", torch.zeros(1), torch.ones(1), *silent)
    border = model.config.border
    stored = model.pyramid.noise[:, :1, border:-border, border:-border]
    assert torch.equal(found, run(model, "pyramid", torch.zeros(1), torch.zeros(1), stored, *silent[1:]))
    assert torch.equal(found, run(model, "pyramid", torch.full((1,), 2.0), torch.zeros(1), *silent))


def test_a_sample_is_as_large_as_its_maps() -> None:
    model = made()
    maps = [torch.randn(1, 1, 11, 24), torch.randn(1, 3, 14, 32), torch.randn(1, 3, 19, 43)]
    assert run(model, "pyramid", torch.ones(1), torch.zeros(1), *maps).shape == (1, 3, 19, 43)


def test_an_image_enters_where_each_item_says() -> None:
    model = made()
    image, maps = torch.rand(2, 3, 18, 22) * 2 - 1, noises(model, 2, first=1)
    found = run(model, "injection", image, torch.tensor([1.0, 2.0]), *maps)
    other = run(model, "injection", image, torch.tensor([1.0, 2.0]), torch.randn_like(maps[0]), maps[1])
    # What enters at scale 2 has not seen the noise of scale 1.
    assert [torch.equal(one, two) for one, two in zip(found, other, strict=True)] == [False, True]


def test_a_blend_shows_the_training_image_where_the_mask_is_black() -> None:
    model = made()
    image, mask = torch.rand(1, 3, 18, 22), torch.zeros(1, 1, 18, 22)
    mask[..., 11:] = 1
    blended = run(model, "blending", image, mask)
    assert torch.equal(blended[..., :11], model.pyramid.real[..., :11])
    assert torch.equal(blended[..., 11:], image[..., 11:])


def test_super_resolution_has_the_size_that_it_says() -> None:
    model = made()
    maps = [torch.randn(2, 1, 23, 28), torch.randn(2, 3, 30, 36)]
    assert [each.shape[1:] for each in maps] == [torch.Size(shape) for shape in model.config.enlarging_shapes]
    assert run(model, "super_resolution", *maps).shape == (2, 3, int(18 * 1.6), int(22 * 1.6))


def test_super_resolution_grows_in_every_one_of_six_passes() -> None:
    model = made(TINY.model_copy(update={"enlargement": 4.0}))
    maps = [torch.randn(2, *shape) for shape in model.config.enlarging_shapes]
    assert len(maps) == 6
    assert run(model, "super_resolution", *maps).shape == (2, 3, 72, 88)


def test_paint_flattens_colours_at_the_scale_that_was_trained_for_it() -> None:
    plain, flat = made(), made(TINY.model_copy(update={"paint_scale": 2}))
    image, maps = torch.rand(2, 3, 18, 22) * 2 - 1, noises(plain, 2, first=1)
    start = torch.tensor([1.0, 2.0])
    one, other = (run(model, "injection", image, start, *maps) for model in (plain, flat))
    assert torch.equal(one[0], other[0])
    palette = palette_of(flat.pyramid.level(2).real)
    entering = resample(quantised(image[1:], palette), (18, 22), (1.0, 1.0))
    border = flat.config.border
    below = torch.nn.functional.pad(entering, (border,) * 4)
    with torch.no_grad():
        wanted = flat.pyramid.level(2)(flat.pyramid.bordered(maps[1][1:]), below)
    assert torch.allclose(other[1:], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("operation", "least", "usual"),
    [("sample", 0, 0), ("animate", 0, 0), ("paint", 1, 1), ("edit", 1, 5), ("harmonize", 1, 9)],
)
def test_scales_that_do_not_exist_cannot_be_asked_for(operation: str, least: int, usual: int) -> None:
    with torch.device("meta"):
        model = SinGAN(Config())
    found = next(each for each in model.operations() if each.name == operation)
    (start,) = (value for value in found.inputs if isinstance(value, ScalarInput) and value.name == "start_scale")
    assert (start.minimum, start.default, start.maximum, start.whole) == (least, usual, 10, True)


def test_clip_art_enters_at_the_scale_that_was_trained_for_it() -> None:
    with torch.device("meta"):
        model = SinGAN(TINY.model_copy(update={"paint_scale": 2}))
    paint = next(each for each in model.operations() if each.name == "paint")
    assert [value.default for value in paint.inputs if isinstance(value, ScalarInput)] == [2]


def test_the_more_often_levels_are_cut_off_the_more_values_may_stray() -> None:
    assert eight_bits(Config(), 1).share == pytest.approx(0.02)
    assert eight_bits(Config(), 6).share == pytest.approx(0.12)
    assert eight_bits(TINY, 1).share == 1.0
