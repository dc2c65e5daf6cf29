from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i_plugin_cyclegan.config import PRESETS, Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.networks import Discriminator, Generator

TINY = Config(image_size=16, channels=2, res_blocks=1)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("preset", "count"), [("resnet_9blocks", 11_378_179), ("resnet_6blocks", 7_837_699)])
def test_generators_have_the_releases_number_of_parameters(preset: str, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(Generator(PRESETS[preset], 3, 3)) == count


def test_the_discriminator_has_the_releases_number_of_parameters() -> None:
    with torch.device("meta"):
        assert parameter_count(Discriminator(3, 64, 3)) == 2_764_737


def test_a_patch_of_70_pixels_decides_on_a_score() -> None:
    discriminator = Discriminator(3, 4, 3)
    discriminator.norm = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue] - it would join all patches
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    scores = discriminator(picture)
    assert scores.shape == (1, 1, 30, 30)
    (gradient,) = torch.autograd.grad(scores[0, 0, 15, 15], picture)
    rows, columns = gradient[0].abs().sum(0).nonzero().T
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)


@pytest.mark.parametrize("size", [(8, 8), (12, 20), (16, 16)])
def test_the_translation_has_the_size_of_the_picture(size: tuple[int, int]) -> None:
    assert Generator(TINY, 3, 1)(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    generator, pictures = Generator(TINY, 3, 3), torch.rand(3, 3, 16, 16)
    one_by_one = torch.cat([generator(picture[None]) for picture in pictures])
    torch.testing.assert_close(generator(pictures), one_by_one, rtol=0, atol=1e-6)


def test_a_grey_domain_has_one_channel_on_its_side() -> None:
    model = CycleGAN(TINY.model_copy(update={"channels_b": 1}))
    graphs = model.graphs()
    assert [graphs[name].inputs[0].axes[1] for name in ("a_to_b", "b_to_a")] == [3, 1]


def test_a_model_of_one_direction_has_no_choice_of_domain() -> None:
    (operation,) = CycleGAN(TINY.model_copy(update={"directions": "a_to_b"})).operations()
    assert [value.name for value in operation.inputs] == ["image"]
    assert [step.graph for step in operation.steps] == ["a_to_b"]


def test_two_domains_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two different ones"):
        Config(domains=("horse", "horse"))
