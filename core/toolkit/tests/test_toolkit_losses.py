"""The losses, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from i2i_toolkit import (
    feature_matching,
    fixed_parameters,
    gradient_penalty,
    hinge,
    kl_divergence,
    l1,
    least_squares,
    logistic,
    r1_penalty,
    slope_penalty,
    wasserstein,
)


def test_least_squares_is_the_mean_squared_distance() -> None:
    assert float(least_squares(torch.tensor([0.0, 2.0, 4.0]), 1.0)) == pytest.approx((1 + 1 + 9) / 3)


@pytest.mark.parametrize("target", [0.0, 1.0, 0.9])
def test_logistic_is_the_cross_entropy_of_the_sigmoid(target: float) -> None:
    p = 1 / (1 + math.exp(-1.5))
    expected = -(target * math.log(p) + (1 - target) * math.log(1 - p))

    assert float(logistic(torch.full((2, 3), 1.5), target)) == pytest.approx(expected, rel=1e-6)


def test_l1_is_the_mean_absolute_difference() -> None:
    assert float(l1(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 2.0]))) == 2.5


def test_wasserstein_raises_real_scores_and_lowers_others() -> None:
    scores = torch.tensor([1.0, 2.0, 6.0])
    assert (float(wasserstein(scores, 1.0)), float(wasserstein(scores, 0.0))) == (-3.0, 3.0)


def test_hinge_asks_for_a_margin_and_for_no_more() -> None:
    scores = torch.tensor([-3.0, 0.0, 0.5, 4.0])
    assert float(hinge(scores, 1.0)) == (4 + 1 + 0.5 + 0) / 4
    assert float(hinge(scores, 0.0)) == (0 + 1 + 1.5 + 5) / 4


def test_losses_of_half_precision_do_not_overflow() -> None:
    large = torch.full((4,), 6e4, dtype=torch.float16)

    for value in (least_squares(large, 1.0), logistic(large, 0.0), l1(large, -large), hinge(large, 0.0)):
        assert value.dtype == torch.float32
        assert bool(value.isfinite())


def test_feature_matching_sums_over_layers_and_teaches_the_found_alone() -> None:
    found, real = [torch.zeros(2, 3, requires_grad=True) for _ in range(2)], [torch.ones(2, 3, requires_grad=True)] * 2
    loss = feature_matching(found, [real[0], 3 * real[1]])
    assert float(loss.detach()) == 1 + 3
    loss.backward()
    assert found[0].grad is not None
    assert real[0].grad is None


def test_feature_matching_refuses_other_numbers_of_layers() -> None:
    with pytest.raises(ValueError, match="shorter"):
        feature_matching([torch.zeros(1)] * 2, [torch.zeros(1)])
    with pytest.raises(ValueError, match="no layers"):
        feature_matching([], [])


def test_the_divergence_is_summed_over_numbers_and_samples() -> None:
    assert float(kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3))) == 0.0
    assert float(kl_divergence(torch.full((2, 3), 2.0), torch.zeros(2, 3))) == pytest.approx(2 * 3 * 2.0)
    assert float(kl_divergence(torch.zeros(1, 1), torch.ones(1, 1))) == pytest.approx((torch.e - 2) / 2)


def test_r1_is_half_the_squared_slope() -> None:
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    scores = torch.tensor([1.0, 3.0]) * images.sum((1, 2, 3))
    torch.testing.assert_close(r1_penalty(scores, images), 0.5 * torch.tensor((1 + 9) / 2 * 3 * 4 * 4))


def linear_discriminator() -> nn.Conv2d:
    """One score whose slope has the length 5."""
    network = nn.Conv2d(1, 1, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[[[3.0, 0.0], [0.0, 4.0]]]]))
    return network


def test_the_gradient_penalty_of_a_linear_discriminator_is_its_slope_away_from_one() -> None:
    network, images, share = linear_discriminator(), torch.rand(3, 1, 2, 2), torch.rand(3, 1, 1, 1)
    loss = gradient_penalty(network, images, -images, share)
    assert float(loss.detach()) == pytest.approx((5 - 1) ** 2)
    loss.backward()
    expected = 2 * (5 - 1) * network.weight.detach() / 5
    torch.testing.assert_close(network.weight.grad, expected)


def test_the_gradient_penalty_looks_between_the_images() -> None:
    def squares(images: Tensor) -> Tensor:
        return 0.5 * images.square().sum((1, 2, 3))  # the slope is the image itself

    real, fake = torch.full((1, 1, 1, 1), 6.0), torch.full((1, 1, 1, 1), 2.0)
    found = gradient_penalty(squares, real, fake, torch.tensor(0.25))
    assert float(found.detach()) == pytest.approx((0.25 * 6 + 0.75 * 2 - 1) ** 2)


def test_every_pixel_may_have_a_slope_of_its_own() -> None:
    slopes = torch.zeros(1, 2, 1, 2)
    slopes[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    assert float(slope_penalty(slopes, per_pixel=True)) == ((5 - 1) ** 2 + 1) / 2
    assert float(slope_penalty(slopes)) == (5 - 1) ** 2

    def red(images: Tensor) -> Tensor:
        return 2 * images[:, :1]

    real, fake = torch.rand(2, 1, 3, 5, 5)
    found = gradient_penalty(red, real, fake, torch.tensor(0.3), per_pixel=True)
    assert float(found.detach()) == pytest.approx((2 - 1) ** 2)


def test_a_network_with_fixed_parameters_passes_gradients_on_and_keeps_none() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad = False
    x = torch.rand(3, 2, requires_grad=True)
    with fixed_parameters(network):
        through = network(x)
    taught = network(x.detach())
    (through.sum() + 2 * taught.sum()).backward()
    torch.testing.assert_close(x.grad, network.weight.detach().expand(3, 2))
    torch.testing.assert_close(network.weight.grad, 2 * x.detach().sum(0, keepdim=True))
    assert [p.requires_grad for p in network.parameters()] == [True, False]


def test_shapes_are_checked() -> None:
    with pytest.raises(TypeCheckError):
        l1(torch.zeros(2, 3), torch.zeros(3, 2))
