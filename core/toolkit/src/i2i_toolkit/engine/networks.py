"""The networks of a training as one thing: what is frozen, which buffers they hold, in which mode they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Networks:
    """Named networks, moved to a device and put into training mode."""

    def __init__(self, networks: Mapping[str, nn.Module], device: torch.device) -> None:
        self.modules = {name: network.to(device).train() for name, network in networks.items()}
        every = (parameter for network in self.modules.values() for parameter in network.parameters())
        self.parameters = list({id(parameter): parameter for parameter in every}.values())
        # A network that its author froze (a pretrained critic) stays frozen when the others are thawed.
        self._trainable = [parameter for parameter in self.parameters if parameter.requires_grad]

    def tensors(self) -> list[Tensor]:
        """All parameters and buffers."""
        return [*self.parameters, *self._buffers().values()]

    def thaw(self) -> None:
        """Let gradients reach every parameter that was trainable at first."""
        for parameter in self._trainable:
            parameter.requires_grad = True

    def freeze_all_but(self, owned: Iterable[nn.Parameter]) -> None:
        """Let gradients reach these parameters and no other."""
        kept = {id(parameter) for parameter in owned}
        for parameter in self.parameters:
            parameter.requires_grad = id(parameter) in kept

    def clear_gradients(self) -> None:
        """Forget all gradients, and give their memory back."""
        for parameter in self.parameters:
            parameter.grad = None

    def copy_of_buffers(self) -> dict[str, Tensor]:
        """Every buffer as it is now, under "<network>/<name>"."""
        return {name: buffer.detach().clone() for name, buffer in self._buffers().items()}

    def set_buffers(self, values: Mapping[str, Tensor]) -> None:
        """Write back what `copy_of_buffers` gave."""
        for name, buffer in self._buffers().items():
            # Through `.data`: autograd must not take this for a change of what it saved in the forward pass.
            buffer.data.copy_(values[name])

    def load(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Copy saved tensors into a network, which has exactly these (`Engine.restore` looks at them first)."""
        self.modules[name].load_state_dict(dict(tensors))

    def _buffers(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": buffer for name, network in self.modules.items() for key, buffer in network.named_buffers()
        }
