"""Inputs on which no two machines agree are told from exports that are wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i_exporter_onnx.cases import Case
from i2i_exporter_onnx.parity import ILL_CONDITIONED, sensitivity
from i2i_registry.model import Axis, Graph, GraphInput

SIDE = 32


def normalising_graph() -> Graph:
    """Instance norms, which multiply the rounding of a picture of one colour by 300 each."""
    torch.manual_seed(0)
    layers = [
        part for _ in range(3) for part in (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(3))
    ]
    inputs = (GraphInput("image", (Axis("batch", 2), 3, SIDE, SIDE), values="picture"),)
    return Graph(module=nn.Sequential(*layers).eval(), inputs=inputs, outputs=("made",), pictures=frozenset({"made"}))


@pytest.mark.parametrize(
    ("kind", "is_ill_conditioned"), [("black", True), ("white", True), ("pictures", False), ("noise", False)]
)
def test_a_picture_of_one_colour_decides_nothing(kind: str, *, is_ill_conditioned: bool) -> None:
    case = Case(kind=kind, lengths={"batch": 2}, batch=2, seed=0)
    assert (sensitivity(normalising_graph(), case, "made") > ILL_CONDITIONED) == is_ill_conditioned
