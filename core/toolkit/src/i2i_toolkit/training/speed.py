"""How fast this machine's CPU trains convolutions: what estimates of a training's time divide by (`Trainer.cost`)."""

from __future__ import annotations

import math
import time
from functools import cache

import torch
from torch.nn import functional as F

TRAINING_SHARE = 0.5
"""Speed of a whole training over that of the convolution that is timed."""
CHANNELS = 64
SIDE = 64
RUNS = 10
"""the fastest counts: what others do on the machine slows down most of them"""


def training_speed() -> float:
    """Multiplications a second, with the threads that torch has now.

    Measured once in a process for each number of threads: two estimates differ by what is trained, and not by what
    others do on the machine meanwhile.
    """
    return _measured(torch.get_num_threads())


@cache
def _measured(threads: int) -> float:  # noqa: ARG001 - torch's own setting, which decides the speed
    image, weight = torch.rand(1, CHANNELS, SIDE, SIDE), torch.rand(CHANNELS, CHANNELS, 3, 3)
    fastest = math.inf
    with torch.no_grad():
        for _ in range(RUNS):
            start = time.perf_counter()
            F.conv2d(image, weight, padding=1)
            fastest = min(fastest, time.perf_counter() - start)
    return TRAINING_SHARE * 9 * CHANNELS**2 * SIDE**2 / fastest
