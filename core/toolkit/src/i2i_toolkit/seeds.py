"""Random numbers as a function of where training stands, so that no generator's state has to be saved."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def derive(seed: int, *place: int | str) -> int:
    """Return a seed in [0, 2**63) for this place in the run; different places give unrelated streams."""
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, numpy and torch (every device) in this process."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a trainer may draw from numpy's global generator
    torch.manual_seed(seed)
