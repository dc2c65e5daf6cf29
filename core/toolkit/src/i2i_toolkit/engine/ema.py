"""Exponential moving averages of networks: what many papers evaluate instead of the last parameters."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averages:
    """Running averages of the networks in `decays` (network -> decay in [0, 1)).

    average <- decay * average + (1 - decay) * parameter, from the parameters the average was made with; buffers are
    copied as they are.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decays: Mapping[str, float]) -> None:
        self._networks = {name: networks[name] for name in decays}
        self._decays = dict(decays)
        self.tensors: dict[str, dict[str, Tensor]] = {
            name: {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
            for name, network in self._networks.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move each average one step towards the networks."""
        for name, network in self._networks.items():
            averaged = self.tensors[name]
            learned = {key for key, _ in network.named_parameters(remove_duplicate=False)}
            for key, tensor in network.state_dict().items():
                if key in learned:
                    averaged[key].lerp_(tensor, 1.0 - self._decays[name])
                else:
                    averaged[key].copy_(tensor)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Within the block the averaged networks hold their averages."""
        held = {
            name: {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
            for name, network in self._networks.items()
        }
        self._load(self.tensors)
        try:
            yield
        finally:
            self._load(held)

    def _load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, network in self._networks.items():
            network.load_state_dict(tensors[name])
