from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_consingan.config import Activation, Config, Mode
from i2i_plugin_consingan.networks import Critic, Generator, summed_patches
from i2i_plugin_consingan.networks.upsampling import enlarged

TINY = Config(height=24, width=28, stages=3, coarsest=12, channels=4, layers=2)
ACTIVATIONS: tuple[Activation, ...] = ("lrelu", "elu", "selu", "prelu")
BOTH_RULES = pytest.mark.parametrize("mode", ["generation", "retarget"])


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def stirred(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def generator(config: Config = TINY) -> Generator:
    made = Generator(config)
    stirred(made)
    return made


def noise(config: Config, count: int = 1) -> list[Tensor]:
    return [torch.randn(count, *config.noise_shape(stage)) for stage in range(config.stages)]


def patches(critic: Critic, image: Tensor) -> Tensor:
    """The scores by the convolution that the critic itself never computes."""
    x = image
    for layer in critic.layers:
        x = layer(x)
    return critic.tail(x)


@pytest.mark.parametrize(
    ("mode", "size", "stages", "coarsest", "expected"),
    [
        ("generation", (186, 250), 6, 25, [(25, 34), (32, 42), (42, 56), (63, 84), (125, 168), (186, 250)]),
        ("harmonization", (186, 250), 6, 25, [(25, 34), (38, 51), (56, 75), (84, 113), (125, 168), (186, 250)]),
        ("editing", (200, 250), 3, 120, [(121, 151), (155, 194), (200, 250)]),
        ("harmonization", (200, 250), 3, 120, [(121, 151), (155, 194), (200, 250)]),
    ],
)
def test_the_stages_have_the_releases_sizes(
    mode: Mode, size: tuple[int, int], stages: int, coarsest: int, expected: list[tuple[int, int]]
) -> None:
    config = Config(mode=mode, height=size[0], width=size[1], stages=stages, coarsest=coarsest)
    assert list(config.sizes) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coarsest": 10}, "patches of 11"),
        ({"height": 20}, "smaller than stage 0"),
        ({"stages": 2}, "need 3"),
    ],
)
def test_an_impossible_pyramid_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.model_validate(changes)


@pytest.mark.parametrize(("stages", "norm", "count"), [(3, False, 335_875), (6, False, 668_227), (3, True, 337_155)])
def test_the_generator_has_the_releases_number_of_parameters(stages: int, count: int, *, norm: bool) -> None:
    with torch.device("meta"):
        assert parameter_count(Generator(Config(stages=stages, batch_norm=norm))) == count


def test_the_critic_has_the_releases_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Critic(Config()).parameters()) == 113_153


@pytest.mark.parametrize("size", [(11, 9), (5, 4), (9, 30), (2, 2)])
def test_feature_maps_are_enlarged_as_torch_does(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    expected = F.interpolate(x, size, mode="bicubic", align_corners=True)
    torch.testing.assert_close(enlarged(x, *size), expected, rtol=0, atol=1e-5)


def test_under_autocast_feature_maps_are_enlarged_in_single_precision() -> None:
    x = torch.randn(1, 2, 9, 7)
    expected = enlarged(x, 20, 18)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(enlarged(x, 20, 18), expected)


@BOTH_RULES
@pytest.mark.parametrize("batch_norm", [False, True])
def test_images_of_a_batch_do_not_see_each_other(mode: Mode, *, batch_norm: bool) -> None:
    config = TINY.model_copy(update={"mode": mode, "batch_norm": batch_norm})
    made, maps = generator(config).eval(), noise(config, 3)
    together = made(maps)
    for index in range(3):
        alone = made([each[index : index + 1] for each in maps])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-5)


def test_training_and_evaluation_give_the_same_image() -> None:
    config = TINY.model_copy(update={"batch_norm": True})
    made, maps = generator(config), noise(config)
    torch.testing.assert_close(made.train()(maps), made.eval()(maps), rtol=0, atol=1e-5)


def test_running_statistics_move_only_where_it_learns() -> None:
    config = TINY.model_copy(update={"batch_norm": True})
    made, maps = generator(config).train(), noise(config)
    before = {name: buffer.clone() for name, buffer in made.named_buffers()}
    with torch.no_grad():
        made(maps)
    assert all(torch.equal(buffer, before[name]) for name, buffer in made.named_buffers())
    made(maps, learning_from=2)
    moved = {name for name, buffer in made.named_buffers() if not torch.equal(buffer, before[name])}
    assert moved
    assert all(name.startswith("body.2.") for name in moved)


@BOTH_RULES
def test_frozen_stages_build_no_graph_and_change_no_number(mode: Mode) -> None:
    config = TINY.model_copy(update={"mode": mode})
    made, maps = generator(config), noise(config)
    whole, part = made(maps), made(maps, learning_from=2)
    torch.testing.assert_close(whole, part, rtol=0, atol=0)
    part.sum().backward()
    named = {name: parameter for name, parameter in made.named_parameters() if parameter.requires_grad}
    learning = {name for name, parameter in named.items() if parameter.grad is not None}
    assert learning == {name for name in named if name.startswith(("body.2.", "tail."))}


@BOTH_RULES
def test_stages_that_have_not_begun_only_enlarge(mode: Mode) -> None:
    config = TINY.model_copy(update={"mode": mode})
    made, maps = generator(config), noise(config)
    made.stages[2].amplitude.zero_()
    features = made.grow(None, maps[:2])
    expected = made.image(enlarged(features, config.height, config.width))
    assert made.begun_count == 2
    torch.testing.assert_close(made.finished(maps), expected, rtol=0, atol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_mean_score_is_that_of_all_patches(activation: Activation) -> None:
    critic = Critic(TINY.model_copy(update={"activation": activation})).double()
    stirred(critic)
    image = torch.randn(2, 3, 17, 21, dtype=torch.float64)
    torch.testing.assert_close(critic(image), patches(critic, image).mean((1, 2, 3)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_what_autograd_gives_twice(activation: Activation) -> None:
    critic = Critic(TINY.model_copy(update={"activation": activation})).double()
    stirred(critic)
    image = torch.randn(1, 3, 17, 21, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(patches(critic, image).sum(), image, create_graph=True)
    found = critic.slopes(image.detach())
    torch.testing.assert_close(found, expected)
    parameters = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    first = torch.autograd.grad((expected.norm(dim=1) - 1).square().mean(), parameters, materialize_grads=True)
    again = torch.autograd.grad((found.norm(dim=1) - 1).square().mean(), parameters, materialize_grads=True)
    torch.testing.assert_close(again, first)


def test_summed_patches_count_how_often_a_pixel_is_met() -> None:
    kernel = torch.ones(1, 3, 3)
    expected = F.conv_transpose2d(torch.ones(1, 1, 2, 3), kernel[None])[0]
    assert torch.equal(summed_patches(kernel, 4, 5), expected)
