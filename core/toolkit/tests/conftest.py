"""Makes the toy model beside the tests importable, in this process and in those it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    # Sums in another order differ in their last bits, and the runs that are compared must not.
    torch.set_num_threads(1)
