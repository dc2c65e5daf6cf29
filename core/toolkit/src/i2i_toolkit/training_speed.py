"""How fast this machine's CPU trains convolutions: what estimates of a training's time divide by (`Trainer.cost`)."""

from __future__ import annotations

import math
import time

import torch
from torch.nn import functional as F

TRAINING_SHARE = 0.5
"""Speed of a whole training over that of the convolution that is timed."""
CHANNELS = 64
SIDE = 64
RUNS = 10
"""the fastest counts: what others do on the machine slows down most of them"""


def training_speed() -> float:
    """Multiplications a second, with the threads that torch has now."""
    image, weight = torch.rand(1, CHANNELS, SIDE, SIDE), torch.rand(CHANNELS, CHANNELS, 3, 3)
    fastest = math.inf
    with torch.no_grad():
        for _ in range(RUNS):
            start = time.perf_counter()
            F.conv2d(image, weight, padding=1)
            fastest = min(fastest, time.perf_counter() - start)
    return TRAINING_SHARE * 9 * CHANNELS**2 * SIDE**2 / fastest
