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
    """Multiplications a second, with the threads that torch has now, if they had the CPU for themselves.

    Measured once in a process for each number of threads, by the time that the CPU spent on this process: two estimates
    differ by what is trained, and not by what others do on the machine meanwhile.
    """
    return _measured(torch.get_num_threads())


@cache
def _measured(threads: int) -> float:
    image, weight = torch.rand(1, CHANNELS, SIDE, SIDE), torch.rand(CHANNELS, CHANNELS, 3, 3)
    fastest = math.inf
    with torch.no_grad():
        for _ in range(RUNS):
            start = time.process_time()
            F.conv2d(image, weight, padding=1)
            fastest = min(fastest, (time.process_time() - start) / threads)
    return TRAINING_SHARE * 9 * CHANNELS**2 * SIDE**2 / fastest
