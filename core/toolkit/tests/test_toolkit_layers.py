"""The layers that papers share, against closed forms and the authors' networks as recorded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit import (
    AdaINResidualBlock,
    EqualizedConv2d,
    EqualizedLinear,
    adaptive_instance_norm,
    binomial_blur,
    initialise_kaiming,
    initialise_normal,
    initialise_xavier,
    pixel_norm,
    r1_penalty,
    truncated,
    with_minibatch_deviation,
)

RECORDED = Path(os.environ.get("I2I_PARITY", "../shared/parity")) / "stylegan"


# --- Initial weights --------------------------------------------------------------------------------------------------


def layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.ConvTranspose2d(128, 64, 4), nn.Linear(512, 256)
    )


@pytest.mark.parametrize(
    ("initialise", "deviations"),
    [
        (initialise_normal, (0.02, 0.02, 0.02)),
        # sqrt(2 / (fan in + fan out)): kernel sides squared times channels
        (initialise_xavier, tuple(0.02 * (2 / fans) ** 0.5 for fans in (9 * 192, 16 * 192, 768))),
        # sqrt(2 / fan in); torch counts a transposed kernel's as its output channels
        (initialise_kaiming, tuple((2 / fan) ** 0.5 for fan in (9 * 64, 16 * 64, 512))),
    ],
)
def test_weights_have_the_deviation_of_their_rule(initialise: object, deviations: tuple[float, ...]) -> None:
    torch.manual_seed(0)
    network = layers()
    assert callable(initialise)
    initialise(network)
    convolution, norm, transposed, linear = network
    for layer, deviation in zip((convolution, transposed, linear), deviations, strict=True):
        weight, bias = layer.get_parameter("weight").detach(), layer.get_parameter("bias")
        assert float(weight.std()) == pytest.approx(deviation, rel=0.02)
        assert not bias.any()
    assert float(norm.get_parameter("weight").detach().mean()) == pytest.approx(1.0, abs=0.01)
    assert float(norm.get_parameter("weight").detach().std()) == pytest.approx(0.02, rel=0.3)


def test_biases_may_stay_as_torch_draws_them() -> None:
    network = nn.Conv2d(3, 4, 3)
    assert network.bias is not None
    before = network.bias.detach().clone()
    initialise_normal(network, biases=False)
    assert torch.equal(network.bias, before)


# --- Adaptive instance norm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning", [True, False])
def test_an_adaptive_norm_gives_the_deviation_and_mean_asked_for(*, learning: bool) -> None:
    scale, shift = torch.tensor([[2.0, 0.5], [1.0, 3.0]]), torch.tensor([[0.0, -1.0], [4.0, 0.5]])
    with torch.set_grad_enabled(learning):
        found = adaptive_instance_norm(10 * torch.rand(2, 2, 16, 16) - 3, scale, shift)
    torch.testing.assert_close(found.mean((2, 3)), shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std((2, 3), unbiased=False), scale, atol=1e-4, rtol=0)


def test_a_styled_block_is_two_norms_behind_a_shortcut_shifts_before_scales() -> None:
    block, x, style = AdaINResidualBlock(3), torch.rand(2, 3, 6, 5), torch.rand(2, 12)

    def normalised(map_: Tensor, first: int) -> Tensor:
        scale, shift = style[:, first + 3 : first + 6, None, None], style[:, first : first + 3, None, None]
        return F.instance_norm(map_) * scale + shift

    hidden = F.relu(normalised(block.conv1(x), 0))
    torch.testing.assert_close(block(x, style), x + normalised(block.conv2(hidden), 6))


# --- Equalized layers and what stands beside them ---------------------------------------------------------------------


def test_equalized_layers_begin_with_the_deviation_of_their_gain() -> None:
    torch.manual_seed(0)
    linear = EqualizedLinear(400, 300, gain=2.0, rate=0.01)
    assert float(linear.weight.detach().std()) == pytest.approx(100, rel=0.02)
    assert float(linear(torch.randn(50, 400)).detach().std()) == pytest.approx(2.0, rel=0.05)
    conv = EqualizedConv2d(40, 30, 3, gain=2**0.5)
    assert float(conv.weight.detach().std()) == pytest.approx(1.0, rel=0.02)
    assert float(conv(torch.randn(2, 40, 30, 30)).detach()[..., 1:-1, 1:-1].std()) == pytest.approx(2**0.5, rel=0.1)


def test_the_rate_is_the_share_of_a_step_that_arrives() -> None:
    slow = EqualizedLinear(4, 1, rate=0.01, initial_bias=1.0)
    x = torch.rand(1, 4)
    assert slow.bias is not None
    before = slow(x)
    with torch.no_grad():
        slow.bias.add_(1.0)
    torch.testing.assert_close(slow(x) - before, torch.tensor([[0.01]]))
    torch.testing.assert_close(slow.bias.detach() * 0.01, torch.tensor([1.01]))


def test_pixels_have_the_mean_square_one() -> None:
    x = torch.randn(2, 7, 3, 4)
    torch.testing.assert_close(pixel_norm(x).square().mean(1), torch.ones(2, 3, 4), atol=1e-5, rtol=0)
    assert not pixel_norm(torch.zeros(1, 5)).any()


def test_a_blur_keeps_the_sum_of_a_point_and_darkens_borders() -> None:
    point = torch.zeros(1, 2, 5, 5)
    point[0, 1, 2, 2] = 16.0
    found = binomial_blur(point)
    assert found[0, 1, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert not found[0, 0].any()
    assert float(binomial_blur(torch.ones(1, 1, 3, 3))[0, 0, 0, 0]) == 9 / 16


def test_images_of_a_group_stand_a_stride_apart() -> None:
    x = torch.zeros(4, 2, 1, 1)
    x[2] = torch.tensor([2.0, 6.0])[:, None, None]  # with image 0 in a group of two: deviations 1 and 3
    found = with_minibatch_deviation(x, group=2)
    torch.testing.assert_close(found[:, 2, 0, 0], torch.tensor([2.0, 0.0001, 2.0, 0.0001]), atol=1e-4, rtol=0)
    parts = with_minibatch_deviation(x, group=2, features=2)
    torch.testing.assert_close(parts[0, 2:, 0, 0], torch.tensor([1.0, 3.0]), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="3 images in groups of 2"):
        with_minibatch_deviation(torch.zeros(3, 2, 1, 1), group=2)


def test_truncation_draws_the_first_layers_towards_the_average() -> None:
    styles, average = torch.full((1, 3, 2), 4.0), torch.tensor([0.0, 2.0])
    assert truncated(styles, average, 0.5, cutoff=2)[0].tolist() == [[2, 3], [2, 3], [4, 4]]
    assert truncated(styles, average, -1.0)[0].tolist() == [[-4, 0]] * 3
    assert torch.equal(truncated(styles, average, 1.0), styles)


# --- The authors' networks, as recorded -------------------------------------------------------------------------------


def recorded(name: str) -> dict[str, Tensor]:
    with safe_open(RECORDED / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping


def loaded(layer: EqualizedLinear | EqualizedConv2d, tensors: dict[str, Tensor], key: str) -> nn.Module:
    """The layer with TensorFlow's weights, whose output channels come last."""
    weight = tensors[f"{key}/weight"]
    with torch.no_grad():
        layer.weight.copy_(weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.T)
        assert layer.bias is not None
        layer.bias.copy_(tensors[f"{key}/bias"])
    return layer


def linear(tensors: dict[str, Tensor], key: str, gain: float = 2**0.5, rate: float = 1.0) -> nn.Module:
    return loaded(EqualizedLinear(*tensors[f"{key}/weight"].shape, gain=gain, rate=rate), tensors, key)


def convolution(tensors: dict[str, Tensor], key: str) -> nn.Module:
    side, _, channels_in, channels_out = tensors[f"{key}/weight"].shape
    return loaded(EqualizedConv2d(channels_in, channels_out, side, gain=2**0.5), tensors, key)


def scores(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The discriminator of StyleGAN (release), from the layers of the toolkit."""
    x = F.leaky_relu(convolution(tensors, "state/D/FromRGB_lod0")(images), 0.2)
    for side in (32, 16, 8):
        x = F.leaky_relu(convolution(tensors, f"state/D/{side}x{side}/Conv0")(x), 0.2)
        x = F.avg_pool2d(convolution(tensors, f"state/D/{side}x{side}/Conv1_down")(binomial_blur(x)), 2)
        x = F.leaky_relu(x, 0.2)
    x = F.leaky_relu(convolution(tensors, "state/D/4x4/Conv")(with_minibatch_deviation(x)), 0.2)
    x = F.leaky_relu(linear(tensors, "state/D/4x4/Dense0")(x.flatten(1)), 0.2)
    return linear(tensors, "state/D/4x4/Dense1", gain=1.0)(x)


@pytest.mark.parametrize("count", [8, 3, 1])
def test_they_make_the_discriminator_of_stylegan(count: int) -> None:
    tensors = recorded("discriminator")
    images = tensors["input/images"][:count].requires_grad_()
    found = scores(tensors, images)
    torch.testing.assert_close(found, tensors[f"output/scores_batch{count}"], rtol=2e-5, atol=2e-5)
    penalty = tensors[f"output/penalty_batch{count}"]
    torch.testing.assert_close(r1_penalty(found, images), penalty.mean() / 2, rtol=1e-4, atol=0)


def test_they_make_the_mapping_of_stylegan_and_its_truncation() -> None:
    tensors = recorded("infer")
    x = pixel_norm(tensors["input/z"])
    for number in range(3):
        x = F.leaky_relu(linear(tensors, f"state/Gs/G_mapping/Dense{number}", rate=0.01)(x), 0.2)
    torch.testing.assert_close(x, tensors["output/w_single"], rtol=2e-5, atol=2e-5)
    styles, average = tensors["output/w"], tensors["state/Gs/dlatent_avg"]
    for psi, cutoff, name in ((0.7, 3, "psi07_cutoff3"), (-1.0, 8, "psi-1_cutoff8"), (0.0, 2, "psi0_cutoff2")):
        expected = tensors[f"output/w_of_image_{name}"]
        torch.testing.assert_close(truncated(styles, average, psi, cutoff), expected, rtol=2e-5, atol=2e-5)
