"""Write a checkpoint as the official code saves it: python benchmarks/official_checkpoint.py FOLDER CHANNELS.

Norm parameters are moved off their start values, because rho = 0 and gamma = 1 would hide part of the work's error.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from measure import BLOCKS
from official_order import OfficialLoop
from safetensors.torch import save_file


def main(folder: Path, channels: int) -> None:
    """`official.pt`, and the A-to-B generator alone as safetensors."""
    torch.manual_seed(0)
    loop = OfficialLoop(channels, BLOCKS)
    with torch.no_grad():
        for name, parameter in loop.networks.named_parameters():
            if name.endswith((".rho", ".gamma", ".beta")):
                parameter.uniform_(0.1, 0.9)
    torch.save({name: network.state_dict() for name, network in loop.networks.items()}, folder / "official.pt")
    save_file(loop.networks["genA2B"].state_dict(), folder / "generator.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
