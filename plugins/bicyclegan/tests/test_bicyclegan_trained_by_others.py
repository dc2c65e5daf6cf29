"""A checkpoint as the authors' own code wrote it, imported: the same tensors in give the same tensors out.

Real weights lie outside the project; the test is skipped where they are not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i2i_registry import Store, discover, find_files, import_checkpoint, open_model

FOLDER = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "weights" / "bicyclegan_lrelu"
NETWORKS = {"G_Unet_add_input": "generator", "E_NLayers": "encoder"}
SHARE_OF_RANGE = 2e-5
ROUNDING = 3
"""Ours may be off by so many times the distance between the recorded results and those in float64. These weights are
scaled up, and another number of threads, which sums in another order, moves an image by up to 2.5e-4 of its range."""
MOST_ROUNDING = 1e-3
"""of the range; a wrong activation is off by half of it"""
TOLD_BY_OPTIONS = {"activation": ("leaky_relu", "opt.txt: nl = lrelu")}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no weights at {FOLDER}; I2I_PARITY says where parity lies"
)


def recorded_calls() -> Iterator[tuple[str, bool, list[Tensor], list[Tensor]]]:
    """What the official test script passed to each network and got back: name, training mode, inputs, outputs."""
    with np.load(FOLDER / "official_calls.npz", allow_pickle=False) as calls:
        for key in calls.files:
            call, _, last = key.rpartition(".")
            if last == "training":
                inputs, outputs = (
                    [torch.from_numpy(calls[f"{call}.{kind}{i}"]) for i in range(9) if f"{call}.{kind}{i}" in calls]
                    for kind in ("in", "out")
                )
                yield call.partition(".")[0], bool(calls[key]), inputs, outputs


@torch.no_grad()
def called(network: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    found = network(*inputs)
    return [found] if isinstance(found, Tensor) else list(found)


def share_of_range(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / (expected.max() - expected.min()))


def test_the_official_calls_give_the_official_results(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    report = import_checkpoint(discover(), store, find_files([str(FOLDER)]), "odd")
    assert {s.field: (s.value, s.by) for s in report.settled}.items() >= TOLD_BY_OPTIONS.items()
    model, _ = open_model(discover(), "odd", store)
    calls = list(recorded_calls())
    assert len(calls) > len(NETWORKS)
    for name, training, inputs, outputs in calls:
        network = model.networks[NETWORKS[name]].train(training)
        precise = called(network.double(), [tensor.double() for tensor in inputs])
        for found, exact, expected in zip(called(network.float(), inputs), precise, outputs, strict=True):
            rounding = share_of_range(exact, expected)
            assert rounding <= MOST_ROUNDING, name
            assert share_of_range(found, expected) <= max(SHARE_OF_RANGE, ROUNDING * rounding), name
