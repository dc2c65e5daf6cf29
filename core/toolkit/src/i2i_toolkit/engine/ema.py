"""Exponential moving averages (EMA) of networks: what many papers evaluate instead of the last parameters."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.trainer import Decay


class EMA:
    """Exponential moving averages of the networks in `decays` (name of a network -> decay in [0, 1]).

    average <- decay * average + (1 - decay) * parameter, starting from the parameters that the networks have when this
    is made; buffers are copied as they are. A decay may be a function of the step, which counts from 1.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decays: Mapping[str, Decay]) -> None:
        self._networks = {name: networks[name] for name in decays}
        self._decays = dict(decays)
        self.tensors: dict[str, dict[str, Tensor]] = {
            name: {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
            for name, network in self._networks.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move each average towards its network. Raises TrainingError where the decay is not in [0, 1]."""
        for name, network in self._networks.items():
            averaged, decay = self.tensors[name], self._decay(name, step)
            learned = {key for key, _ in network.named_parameters(remove_duplicate=False)}
            for key, tensor in network.state_dict().items():
                if key in learned:
                    averaged[key].lerp_(tensor, 1.0 - decay)
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

    def _decay(self, name: str, step: int) -> float:
        given = self._decays[name]
        decay = given(step) if callable(given) else given
        if 0.0 <= decay <= 1.0:
            return decay
        raise TrainingError(
            found=f"the EMA decay of network {name!r} is {decay:g} in step {step}",
            expected="a number from 0 (the network itself) to 1 (the average stays as it is)",
            fix="another --set ema_decay; if it is as it was given by default, `Trainer.ema` is wrong",
        )

    def _load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, network in self._networks.items():
            network.load_state_dict(tensors[name])
