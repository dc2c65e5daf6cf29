"""The tests of this plugin that no other has; the conformance suite runs before them."""

from __future__ import annotations

import torch

from i2i_registry import discover


def test_the_networks_have_the_number_of_parameters_of_the_paper() -> None:
    model_class = discover().model_class("newpaper")
    with torch.device("meta"):
        networks = model_class(next(iter(model_class.presets.values()))).networks
    counts = {name: sum(tensor.numel() for tensor in network.parameters()) for name, network in networks.items()}
    assert counts == {"pyramid": 265_536}
