"""Networks in evaluation mode for a while, wherever that is: measuring a graph, or a sample during training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Generator[None]:
    """Within the block the networks are in evaluation mode; afterwards each of their modules is in the mode it was in.

    Gradients are as they are outside it: add `torch.no_grad()`.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
