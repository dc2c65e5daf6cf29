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

from i2i_registry.checkpoint_files import find_files
from i2i_registry.discovery import discover
from i2i_registry.importing import import_checkpoint
from i2i_registry.store import Store
from i2i_registry.weights import open_model

FOLDER = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "weights" / "bicyclegan_lrelu"
NETWORKS = {"G_Unet_add_input": "generator", "E_NLayers": "encoder"}
SHARE_OF_RANGE = 2e-5
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


def test_the_official_calls_give_the_official_results(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    report = import_checkpoint(discover(), store, find_files([str(FOLDER)]), "odd")
    assert {s.field: (s.value, s.by) for s in report.settled}.items() >= TOLD_BY_OPTIONS.items()
    model, _ = open_model(discover(), "odd", store)
    calls = list(recorded_calls())
    assert len(calls) > len(NETWORKS)
    for name, training, inputs, outputs in calls:
        for found, expected in zip(
            called(model.networks[NETWORKS[name]].train(training), inputs), outputs, strict=True
        ):
            off = (found - expected).abs().max() / (expected.max() - expected.min())
            assert float(off) <= SHARE_OF_RANGE, name
