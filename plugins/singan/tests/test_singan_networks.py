from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from i2i_plugin_singan.config import COARSEST, PRESETS, Config, Size, enlarging_scales_for, scales_for
from i2i_plugin_singan.networks import UNTRAINED, Critic, Generator, Pyramid
from i2i_plugin_singan.networks.palette import palette_of, quantised
from i2i_plugin_singan.networks.sampling import stretched

TINY = Config(height=16, width=20, scales=3, coarsest=10, channels=2, layers=3)


def learned(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("scale", "generator", "critic"), [(0, 29_763, 29_185), (4, 114_819, 113_665), (8, 450_819, 448_513)]
)
def test_the_parameters_are_as_many_as_in_the_authors_networks(scale: int, generator: int, critic: int) -> None:
    config = Config()
    assert learned(Generator(config, scale)) == generator
    assert learned(Critic(config.width_at(scale), config.layers)) == critic


def test_a_whole_pyramid_has_as_many_as_the_authors() -> None:
    with torch.device("meta"):
        assert learned(Pyramid(Config(height=186, width=248, scales=9))) == 1_029_147
        assert learned(Pyramid(Config())) == 1_930_785


@pytest.mark.parametrize(
    ("image", "scales", "factor", "sizes"),
    [
        ((250, 250), 11, 0.7943282347, [(25, 25), (32, 32), (250, 250)]),
        ((186, 248), 9, 0.7781321924, [(25, 34), (33, 43), (186, 248)]),
        ((400, 600), 8, 0.7623857867, [(25, 38), (33, 50), (167, 250)]),
        ((1024, 2048), 7, 0.7647244913, [(26, 51), (33, 66), (125, 250)]),
        ((100, 250), 7, 0.7937005260, [(26, 63), (32, 79), (100, 250)]),
    ],
)
def test_images_get_the_scales_that_the_authors_scripts_give_them(
    image: Size, scales: int, factor: float, sizes: list[Size]
) -> None:
    found = scales_for(image, coarsest=25, scale_factor=0.75, max_size=250)
    assert found == scales
    height, width = sizes[-1]
    config = Config(height=height, width=width, scales=found)
    assert config.factor == pytest.approx(factor, abs=1e-10)
    assert [config.sizes[scale] for scale in (0, 1, -1)] == sizes


def test_super_resolution_counts_the_width_alone() -> None:
    # A tall image: its height is what is made smaller, and its width is below the limit, so nothing is left out.
    tall = enlarging_scales_for((500, 200), coarsest=18, scale_factor=0.5 ** (1 / 3), max_size=250)
    wide = enlarging_scales_for((200, 500), coarsest=18, scale_factor=0.5 ** (1 / 3), max_size=250)
    assert (tall, wide) == (12, 9)


def test_super_resolution_enlarges_in_six_passes() -> None:
    config = PRESETS["super_resolution"]
    assert config.passes == 6
    assert config.pass_factor == pytest.approx(2 ** (1 / 3))
    assert config.coarsest == COARSEST["super_resolution"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"coarsest": 10}, "coarsest"),
        ({"height": 20}, "height"),
        ({"scales": 1}, "scales"),
        ({"scales": 3, "paint_scale": 3}, "paint_scale"),
        ({"enlargement": 1.0}, "enlargement"),
    ],
)
def test_configs_that_fit_no_image_are_refused(changes: dict[str, int], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Config.model_validate(changes)


def test_the_smallest_sample_has_a_coarsest_map_that_a_critic_can_look_at() -> None:
    height, _ = Config().smallest_sample
    assert round(25 * height / 250) == 11
    assert round(25 * (height - 1) / 250) < 11


def test_the_coarsest_scale_knows_no_amplitude() -> None:
    keys = Pyramid(TINY).state_dict().keys()
    assert [key for key in keys if "amplitude" in key] == ["levels.1.amplitude", "levels.2.amplitude"]


def test_a_scale_that_was_never_trained_only_enlarges() -> None:
    pyramid = Pyramid(TINY).eval()
    noises = [torch.randn(1, *pyramid.config.noise_shape(scale)) for scale in range(3)]
    pyramid.level(1).amplitude.fill_(UNTRAINED)
    images = pyramid(noises)
    below = pyramid.below(images[0], TINY.size_at(1), 1 / TINY.factor)
    assert torch.equal(images[1], below[..., 3:-3, 3:-3])
    assert not torch.equal(images[2], pyramid.below(images[1], TINY.size_at(2), 1 / TINY.factor)[..., 3:-3, 3:-3])


def test_noise_stays_out_of_the_border_but_for_animation() -> None:
    for mode, outside in (("generation", 0), ("animation", 6)):
        pyramid = Pyramid(TINY.model_copy(update={"mode": mode}))
        height, width = TINY.size_at(1)
        assert pyramid.config.noise_shape(1) == (3, height + outside, width + outside)
        bordered = pyramid.bordered(torch.ones(1, *pyramid.config.noise_shape(0)))
        assert bordered.shape[1] == 3
        assert bool(bordered[..., 0, 0].any()) is (mode == "animation")


def test_stretching_to_the_own_size_changes_nothing() -> None:
    image = torch.rand(2, 3, 7, 9)
    assert torch.equal(stretched(image, (7, 9)), image)
    corners = stretched(image, (13, 5))[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.allclose(corners, image[..., [0, 0, -1, -1], [0, -1, 0, -1]])


def test_a_palette_finds_the_colours_of_a_flat_image() -> None:
    colours = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    image = colours[torch.arange(60) % 5].T.reshape(1, 3, 6, 10)
    found = palette_of(image)
    assert {tuple(row.tolist()) for row in found} == {tuple(row.tolist()) for row in colours}
    assert torch.equal(quantised(image + 0.3 * torch.rand_like(image), found), image)


def test_a_palette_of_one_colour_is_that_colour() -> None:
    assert torch.allclose(palette_of(torch.full((1, 3, 4, 4), 0.25)), torch.full((5, 3), 0.25))
