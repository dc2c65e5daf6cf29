"""Which misses are forgiven: those on extreme pictures of which only rounding is left."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_exporter_onnx.cases import Case
from i2i_exporter_onnx.parity import is_rounding
from i2i_registry.model import Axis, Graph, GraphInput


class Normalising(nn.Module):
    """Three convolutions with instance norm, or without."""

    def __init__(self, *, normalised: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.normalised = normalised
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3) for _ in range(3))

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for conv in self.convs:
            x = conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
            if self.normalised:
                x = F.instance_norm(x)
        return x


def graph(*, normalised: bool) -> Graph:
    image = GraphInput("image", (Axis("batch", 2), 3, 16, 16), values="picture")
    return Graph(Normalising(normalised=normalised).eval(), (image,), ("picture",))


def case(kind: str) -> Case:
    return Case(kind, {"batch": 2}, 2)


@torch.no_grad()
def test_what_instance_norm_makes_of_one_colour_is_rounding() -> None:
    assert is_rounding(graph(normalised=True), case("black"), error=0.5)


@torch.no_grad()
def test_one_colour_without_instance_norm_is_held_to_the_tolerance() -> None:
    assert not is_rounding(graph(normalised=False), case("black"), error=1e-3)


@torch.no_grad()
def test_pictures_are_held_to_the_tolerance_by_every_network() -> None:
    assert not is_rounding(graph(normalised=True), case("pictures"), error=1e-12)
    assert not is_rounding(graph(normalised=True), case("noise"), error=1e-3)
