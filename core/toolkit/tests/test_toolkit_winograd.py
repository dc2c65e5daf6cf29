"""The fast 3x3 convolution computes what the plain one does, and steps aside where it cannot."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_toolkit.layers.winograd import LEAST_CHANNELS, Conv3x3, is_worthwhile


def both(x: Tensor, layer: Conv3x3) -> tuple[list[Tensor], list[Tensor]]:
    """Result and gradients of the layer, and of torch's convolution in float64."""
    upstream = torch.randn(len(x), layer.out_channels, x.shape[2] - 2, x.shape[3] - 2)
    found = layer(x)
    gradients = torch.autograd.grad(found, (x, *layer.parameters()), upstream)
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, *layer.parameters())]
    expected = F.conv2d(exact[0], exact[1], exact[2])
    exact_gradients = torch.autograd.grad(expected, exact, upstream.double())
    return [found.detach(), *gradients], [expected.detach(), *exact_gradients]


@pytest.mark.parametrize("size", [(1, 6, 6), (2, 10, 18)])
def test_results_and_gradients_are_those_of_the_plain_convolution(size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    batch, height, width = size
    layer = Conv3x3(LEAST_CHANNELS, LEAST_CHANNELS + 3)
    x = torch.randn(batch, LEAST_CHANNELS, height, width, requires_grad=True)
    assert is_worthwhile(x, layer.weight)

    for found, expected in zip(*both(x, layer), strict=True):
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("frozen", ["x", "weight"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    layer = Conv3x3(LEAST_CHANNELS, LEAST_CHANNELS, bias=False).requires_grad_(requires_grad=frozen != "weight")
    x = torch.randn(1, LEAST_CHANNELS, 6, 6, requires_grad=frozen != "x")
    layer(x).sum().backward()

    assert (x.grad is None, layer.weight.grad is None) == (frozen == "x", frozen == "weight")


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.zeros(1, LEAST_CHANNELS, 7, 6), torch.zeros(LEAST_CHANNELS, LEAST_CHANNELS, 3, 3)),
        (torch.zeros(1, LEAST_CHANNELS, 6, 2), torch.zeros(LEAST_CHANNELS, LEAST_CHANNELS, 3, 3)),
        (torch.zeros(1, 8, 6, 6), torch.zeros(LEAST_CHANNELS, 8, 3, 3)),
        (torch.zeros(1, LEAST_CHANNELS, 6, 6).double(), torch.zeros(LEAST_CHANNELS, LEAST_CHANNELS, 3, 3).double()),
    ],
    ids=["no whole squares", "no result", "few channels", "float64"],
)
def test_where_it_does_not_apply_torch_convolves(x: Tensor, weight: Tensor) -> None:
    assert not is_worthwhile(x.requires_grad_(), weight)


def test_without_gradients_and_under_autocast_torch_convolves() -> None:
    x, weight = torch.zeros(1, LEAST_CHANNELS, 6, 6), torch.zeros(LEAST_CHANNELS, LEAST_CHANNELS, 3, 3)
    weight.requires_grad_()

    assert is_worthwhile(x, weight)
    with torch.no_grad():
        assert not is_worthwhile(x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_worthwhile(x, weight)
