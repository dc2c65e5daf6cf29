"""Models and trainers built the same way each time: seeded, and with parameters that hide nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from i2i_registry.interfaces.model import Model
from i2i_runtime.records import Record
from i2i_toolkit.seeds import derive, seed_everything

STIR = 0.05
"""Standard deviation of what `stirred` adds; about the size of usual initial weights."""


def build(model_class: type[Model[Record]], config: Record, seed: int = 0) -> Model[Record]:
    """A model with the initial weights of this seed."""
    seed_everything(derive(seed, "build"))
    return model_class(config)


@torch.no_grad()
def stirred(model: Model[Record], seed: int = 0) -> Model[Record]:
    """The same model with noise on every parameter.

    Fresh networks have scales of 1 and offsets of 0, which an export could lose without anybody noticing.
    """
    generator = torch.Generator().manual_seed(seed)
    for network in model.networks.values():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=STIR)
    return model


def state(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """ "<network>.<key>" -> tensor, of all networks."""
    return {
        f"{name}.{key}": tensor for name, network in networks.items() for key, tensor in network.state_dict().items()
    }
