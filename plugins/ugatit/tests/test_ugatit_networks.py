from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ugatit.config import PRESETS, SMALLEST_SIDE, Config
from i2i_plugin_ugatit.networks import (
    EPSILON,
    Discriminator,
    Generator,
    SpectralConv,
    SpectralLinear,
    conv_after_upsampling,
    layer_instance_norm,
    smallest_side,
)

TINY = Config(image_size=16, channels=2, res_blocks=1, pooled_style=True)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_norms(x: Tensor, rho: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """The paper's equation 1 word by word, with both norms computed by themselves."""
    instance = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True) + EPSILON).sqrt()
    layer = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True) + EPSILON).sqrt()
    return gamma * (rho * instance + (1 - rho) * layer) + beta


def random_norm_inputs() -> tuple[Tensor, ...]:
    # Channels with means far apart: the part of the layer's variance that lies between the channels counts.
    x = normal(2, 5, 6, 7) * torch.tensor([0.1, 1, 2, 5, 9]).view(1, 5, 1, 1) + 10 * normal(1, 5, 1, 1, seed=1)
    return x, normal(1, 5, 1, 1, seed=2).sigmoid(), normal(2, 5, 1, 1, seed=3), normal(2, 5, 1, 1, seed=4)


def test_the_closed_form_norm_equals_the_two_norms() -> None:
    inputs = random_norm_inputs()
    torch.testing.assert_close(layer_instance_norm(*inputs), two_norms(*inputs), rtol=1e-12, atol=1e-12)


def test_the_closed_form_norm_has_the_same_gradients() -> None:
    inputs = [tensor.requires_grad_() for tensor in random_norm_inputs()]
    weight = normal(2, 5, 6, 7, seed=5)
    found = torch.autograd.grad((layer_instance_norm(*inputs) * weight).sum(), inputs)
    expected = torch.autograd.grad((two_norms(*inputs) * weight).sum(), inputs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_of_half_precision_maps_do_not_overflow(dtype: torch.dtype) -> None:
    x = (300 * normal(1, 2, 64, 64)).to(dtype)  # the sum of squares is 4e8, and float16 ends at 65504
    ones, zeros = torch.ones(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    found = layer_instance_norm(x, ones / 2, ones, zeros)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), two_norms(x.double(), ones / 2, ones, zeros), rtol=1e-2, atol=1e-2)


def test_a_map_with_a_large_mean_keeps_its_digits() -> None:
    x = normal(1, 3, 16, 16) + 1e4  # mean of squares minus square of mean would lose everything in float32
    ones, zeros = torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)
    found = layer_instance_norm(x.float(), ones, ones, zeros)
    torch.testing.assert_close(found.double(), two_norms(x, ones.double(), ones, zeros), rtol=0, atol=5e-3)


def old_twin(layer: SpectralConv | SpectralLinear) -> nn.Module:
    """The same layer under torch's older spectral norm, which is what the release uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(layer, SpectralConv):
            plain: nn.Module = nn.Conv2d(3, 4, 4, 2, 1, padding_mode="reflect")
        else:
            plain = nn.Linear(6, 1, bias=False)
        twin = torch.nn.utils.spectral_norm(plain)
    state = {"weight_orig": layer.weight, "weight_u": layer.spectral.u, "weight_v": layer.spectral.v}
    state |= {"bias": layer.bias} if layer.bias is not None else {}
    twin.load_state_dict(state)
    return twin.double()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(SpectralConv(3, 4, stride=2, bias=True), (2, 3, 8, 8)), (SpectralLinear(6, 1), (2, 6))],
    ids=["convolution", "linear"],
)
def test_spectral_norm_equals_torchs_older_one_over_several_passes(
    layer: SpectralConv | SpectralLinear, shape: tuple[int, ...]
) -> None:
    twin = old_twin(layer)
    ours = copy.deepcopy(layer).double()
    first, second = normal(*shape), normal(*shape, seed=1)
    # Two passes before one backward: each has to keep the u and v it was made with.
    found, expected = ours(first) + ours(second) ** 2, twin(first) + twin(second) ** 2
    torch.testing.assert_close(found, expected)
    gradient = torch.autograd.grad(found.sum(), ours.weight)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), twin.get_parameter("weight_orig"))[0])
    torch.testing.assert_close(ours.spectral.u, twin.get_buffer("weight_u"))
    torch.testing.assert_close(ours.spectral.v, twin.get_buffer("weight_v"))


def test_evaluation_does_not_move_the_spectral_norm() -> None:
    layer = SpectralConv(3, 4, stride=1, bias=False).eval()
    before = layer.spectral.u.clone()
    layer(torch.zeros(1, 3, 8, 8))
    assert torch.equal(layer.spectral.u, before)


def test_the_estimate_converges_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = SpectralLinear(20, 1)
    layer(torch.zeros(1, 20))
    found = layer.spectral.eval()(layer.weight)
    torch.testing.assert_close(found, torch.linalg.matrix_norm(layer.weight, 2))


def test_attention_equals_weighting_the_features_before_the_convolution() -> None:
    torch.manual_seed(0)
    attention = Generator(TINY).attention.double()
    x = normal(2, 8, 4, 4)
    average, maximum = attention.average_head.weight, attention.maximum_head.weight
    both = torch.cat([x * average[:, :, None, None], x * maximum[:, :, None, None]], dim=1)
    expected = F.relu(attention.merge(both))
    torch.testing.assert_close(attention(x)[0], expected)


@pytest.mark.parametrize(("height", "width"), [(1, 2), (4, 4), (5, 3)])
def test_the_convolution_after_doubling_equals_doubling_first(height: int, width: int) -> None:
    x, kernel = normal(2, 3, height, width), normal(4, 3, 3, 3, seed=1)
    doubled = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(conv_after_upsampling(x, kernel), F.conv2d(doubled, kernel))


def test_the_sizes_of_the_release() -> None:
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        light, full = Generator(PRESETS["light"]), Generator(PRESETS["full"])
        whole, patch = Discriminator(64, 7), Discriminator(64, 5)
    assert [count(n) for n in (light, full, whole, patch)] == [10_589_888, 278_959_808, 53_130_176, 3_290_560]


def test_the_smallest_image_is_translated_and_half_of_it_is_not() -> None:
    generator = Generator(TINY)
    assert generator(torch.zeros(1, 3, SMALLEST_SIDE, SMALLEST_SIDE)).image.shape[2:] == (SMALLEST_SIDE, SMALLEST_SIDE)
    with pytest.raises((RuntimeError, ValueError)):
        generator(torch.zeros(1, 3, SMALLEST_SIDE // 2, SMALLEST_SIDE // 2))


@pytest.mark.parametrize("layers", [3, 4, 5, 7])
def test_a_discriminator_takes_its_smallest_side_and_nothing_below(layers: int) -> None:
    discriminator, side = Discriminator(1, layers), smallest_side(layers)
    assert discriminator(torch.zeros(1, 3, side, side)).logits.shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        discriminator(torch.zeros(1, 3, side - 1, side - 1))


def test_the_attention_is_a_quarter_of_the_image_and_never_negative() -> None:
    torch.manual_seed(0)
    translation = Generator(TINY)(torch.rand(2, 3, 16, 24) * 2 - 1)
    assert translation.image.shape == (2, 3, 16, 24)
    assert translation.image.abs().max() < 1
    assert translation.attention.shape == (2, 1, 4, 6)
    assert translation.attention.min() >= 0


def test_a_batch_is_translated_like_its_images_one_by_one() -> None:
    torch.manual_seed(0)
    generator, images = Generator(TINY).double(), normal(3, 3, 16, 16).tanh()
    together = generator(images).image
    torch.testing.assert_close(together, torch.cat([generator(image[None]).image for image in images]))
