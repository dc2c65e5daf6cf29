"""One instance norm for all papers: torch's, in the form that is exported too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_toolkit.layers.norms import InstanceNorm, instance_norm, map_mean

SCALE, OFFSET = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.0, 1.0, -3.0]).double()


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x, SCALE.to(x.dtype), OFFSET.to(x.dtype), 1e-3)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5 + 2


def test_while_it_learns_it_is_torchs(x: Tensor) -> None:
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(x), rtol=0, atol=0)
    expected = F.instance_norm(x, weight=SCALE, bias=OFFSET, eps=1e-3)
    torch.testing.assert_close(Scaled()(x), expected, rtol=0, atol=0)


@torch.no_grad()
def test_otherwise_it_is_that_but_for_rounding(x: Tensor) -> None:
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(x), rtol=1e-12, atol=1e-12)
    expected = F.instance_norm(x, weight=SCALE, bias=OFFSET, eps=1e-3)
    torch.testing.assert_close(Scaled()(x), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_constant_map_stays_nothing_through_many_norms() -> None:
    x = torch.rand(2, 5, 1, 1, generator=torch.Generator().manual_seed(0)).expand(2, 5, 48, 100)
    for _ in range(20):
        x = InstanceNorm()(x)
    assert float(x.abs().max()) < 1e-20


@pytest.mark.parametrize("module", [InstanceNorm(), Scaled()])
def test_in_a_graph_it_gives_the_same(module: nn.Module, x: Tensor) -> None:
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_the_mean_of_a_constant_map_is_its_value(x: Tensor) -> None:
    constant = x[:, :, :1, :1].float().expand(2, 3, 48, 100)
    assert torch.equal(map_mean(constant), constant[:, :, :1, :1])
    torch.testing.assert_close(map_mean(x), x.mean((2, 3), keepdim=True), rtol=1e-12, atol=1e-12)


def test_half_precision_is_normalised_in_single() -> None:
    x = torch.full((1, 1, 64, 64), 300.0)  # 4096 of them make more than fp16 has
    x[..., 0] += 1
    found = InstanceNorm()(x.half())
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), F.instance_norm(x), rtol=1e-3, atol=1e-3)
