"""The initial weights of the papers, drawn for all layers of a network in the order of its modules.

Biases become 0; the weights of batch norms are drawn from N(1, 0.02).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

INITIAL_DEVIATION = 0.02
"""Standard deviation of initial weights (DCGAN, Radford et al. 2016, and its successors)."""


def initialise_normal(network: nn.Module, *, biases: bool = True) -> None:
    """Draw weights from N(0, 0.02): DCGAN, pix2pix, CycleGAN, SinGAN, DRIT++.

    `biases` False leaves those of convolutions and linear layers as torch has drawn them.
    """

    def normal(weight: Tensor) -> None:
        weight.normal_(0.0, INITIAL_DEVIATION)

    _initialise(network, normal, biases=biases)


def initialise_xavier(network: nn.Module) -> None:
    """Draw weights by Xavier's rule with the gain 0.02: BicycleGAN, SPADE."""

    def xavier(weight: Tensor) -> None:
        nn.init.xavier_normal_(weight, gain=INITIAL_DEVIATION)

    _initialise(network, xavier, biases=True)


def initialise_kaiming(network: nn.Module) -> None:
    """Draw weights by Kaiming's rule for the fan-in and ReLU: StarGAN v2, MUNIT, FUNIT, HiDT."""

    def kaiming(weight: Tensor) -> None:
        nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")

    _initialise(network, kaiming, biases=True)


@torch.no_grad()
def _initialise(network: nn.Module, draw: Callable[[Tensor], None], *, biases: bool) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            draw(module.weight)
            if biases and module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1.0, INITIAL_DEVIATION)
            module.bias.zero_()
