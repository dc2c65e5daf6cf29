"""What the generator was when a training step began.

The generator learns before the critic does, from a picture that both use (the order of the authors' code). A run that
is killed in between makes that picture again when it goes on, and needs for it the parameters of the time before.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Memory(nn.Module):
    """A copy of a network's parameters, in buffers, so that checkpoints hold it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._names = {name: name.replace(".", "__") for name, _ in network.named_parameters()}
        for name, parameter in network.named_parameters():
            self.register_buffer(self._names[name], parameter.detach().clone())

    @property
    def parameters_then(self) -> Mapping[str, Tensor]:
        """Under the names that they have in the network."""
        return {name: self.get_buffer(place) for name, place in self._names.items()}

    @torch.no_grad()
    def take(self, network: nn.Module) -> None:
        """Remember the parameters as they are now."""
        for name, parameter in network.named_parameters():
            self.get_buffer(self._names[name]).copy_(parameter)

    def knows(self, network: nn.Module) -> bool:
        """Whether the parameters are as they were."""
        return all(torch.equal(self.get_buffer(self._names[name]), p) for name, p in network.named_parameters())
