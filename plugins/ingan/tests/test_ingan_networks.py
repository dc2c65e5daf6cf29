from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from i2i_plugin_ingan.config import PRESETS, Config
from i2i_plugin_ingan.model import GRAPH, InGAN
from i2i_plugin_ingan.networks import Generator
from i2i_plugin_ingan.networks.critic import MultiScaleCritic, net_count, scale_weights
from i2i_plugin_ingan.networks.geometry import resize_grid
from i2i_plugin_ingan.networks.layers import ImageNorm, SpectralConv, conv_after_upsampling

TINY = Config(height=32, width=40, channels=4, downscales=2, blocks=1)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def image(*size: int) -> Tensor:
    return 2 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) - 1


def stirred(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return network


def test_the_paper_s_networks_have_the_paper_s_sizes() -> None:
    with torch.device("meta"):
        assert parameters(Generator(Config())) == 4_804_611
        assert parameters(MultiScaleCritic(64, 1)) == 224_001


@pytest.mark.parametrize(("crop", "nets"), [(64, 5), (96, 6), (128, 7), (192, 8), (256, 9), (512, 11)])
def test_larger_crops_have_more_nets(crop: int, nets: int) -> None:
    assert net_count(crop, 2 * crop) == nets


def test_smaller_steps_between_the_critics_scales_make_more_of_them() -> None:
    # Counted by the authors' code for a recording.
    assert net_count(90, 90, 1.3) == 7
    assert len(scale_weights(41, 83, 30_000, 25_000, 1.3)) == 5


def test_the_weights_of_the_scales_move_from_coarse_to_fine() -> None:
    first, balanced, last = (scale_weights(256, 256, iteration, 25_000) for iteration in (0, 25_000, 75_000))
    assert (first[0], first[-1]) == pytest.approx((0.020, 0.300), abs=5e-4)
    assert balanced == pytest.approx((1 / 9,) * 9)
    assert last[:3] == pytest.approx((0.491, 0.250, 0.128), abs=5e-4)


@pytest.mark.parametrize("size", [(32, 40), (8, 8), (56, 12)])
def test_a_result_has_the_size_of_its_grid(size: tuple[int, int]) -> None:
    assert Generator(TINY)(image(33, 21), resize_grid((33, 21), size)).shape == (1, 3, *size)


def test_spectral_norm_is_torch_s_in_training() -> None:
    ours = SpectralConv(3, 5, 3)
    theirs = spectral_norm(nn.Conv2d(3, 5, 3))
    theirs.load_state_dict(
        {
            "weight_orig": ours.weight.data,
            "bias": ours.bias.data,
            "weight_u": ours.direction,
            "weight_v": torch.zeros(27),
        }
    )
    for _ in range(3):
        torch.testing.assert_close(ours(image(8, 8)), theirs(image(8, 8)))
    torch.testing.assert_close(ours.direction, theirs.get_buffer("weight_u"))


def test_only_training_moves_the_direction_of_a_spectral_norm() -> None:
    conv = SpectralConv(3, 5, 3).eval()
    before = conv.direction.clone()
    evaluated = conv(image(8, 8))
    assert torch.equal(conv.direction, before)
    assert torch.equal(conv.train()(image(8, 8)), evaluated)
    assert not torch.equal(conv.direction, before)


def test_the_gradient_of_a_kernel_goes_through_its_norm() -> None:
    conv = SpectralConv(3, 5, 3)
    # A kernel divided by its norm does not change with its length.
    conv.kernel().square().sum().backward()
    gradient, weight = conv.weight.grad, conv.weight.detach()
    assert gradient is not None
    assert abs(float((gradient * weight).sum())) < 1e-3 * float(gradient.norm() * weight.norm())


def test_outside_of_training_every_image_has_its_own_statistics() -> None:
    norm = ImageNorm(4)
    x = torch.randn(3, 4, 6, 5)
    each = torch.cat([norm.train()(item[None]) for item in x])
    torch.testing.assert_close(norm.eval()(x), each)


def test_a_convolution_behind_an_enlargement_equals_the_two_of_them() -> None:
    x, weight, bias = torch.randn(2, 3, 5, 6), torch.randn(4, 3, 3, 3), torch.randn(4)
    enlarged = F.pad(F.interpolate(x, scale_factor=2), (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(conv_after_upsampling(x, weight, bias), F.conv2d(enlarged, weight, bias))


def test_the_graph_is_the_generator_on_white() -> None:
    model = InGAN(TINY)
    stirred(model.generator).eval()
    real, grid = image(32, 40), resize_grid((32, 40), (24, 56))
    coverage = torch.rand(1, 1, 24, 56)
    expected = coverage * model.generator(real, grid) + 1 - coverage
    torch.testing.assert_close(model.graphs()[GRAPH].module(real, grid, coverage), expected)


def test_the_graph_leaves_the_generator_as_it_is() -> None:
    model = InGAN(TINY)
    before = {key: tensor.clone() for key, tensor in model.generator.state_dict().items()}
    model.graphs()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.generator.state_dict().items())
    assert model.generator.training


def test_a_critic_without_a_scale_is_no_critic() -> None:
    with pytest.raises(ValueError, match="nothing to judge by"):
        MultiScaleCritic(2, 1)(image(16, 16), ())


def test_a_config_of_an_image_without_an_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels"):
        Config(height=15)


def test_presets_have_a_network_each() -> None:
    assert list(PRESETS) == ["ingan", "quick"]
    assert PRESETS["ingan"] == Config()
