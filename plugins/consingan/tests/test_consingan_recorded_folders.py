"""Folders of the authors' training code become models that give back what their test script got from each network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_plugin_consingan.model import ConSinGAN
from i2i_registry import ImportReport, Store, discover, find_files, import_checkpoint, open_model, read_checkpoint

WEIGHTS = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "weights"
CLASS = "GrowingGenerator"
NAMES = ("consingan_mtrushmore", "consingan_pen_tree")
CLOSE = 2e-5
"""of the range of an image, which is 2"""


def folder_of(name: str) -> Path:
    if not (WEIGHTS / name).is_dir():
        pytest.skip(f"no recorded folders at {WEIGHTS}; I2I_PARITY says where parity lies")
    return WEIGHTS / name


def imported(store: Store, folder: Path, *values: str) -> ImportReport:
    return import_checkpoint(discover(), store, find_files([str(folder)]), "image", values=values)


def largest_difference(store: Store, calls: Path) -> float:
    """Between what the imported generator makes of the recorded inputs and the recorded outputs."""
    model = cast("ConSinGAN", open_model(discover(), "image", store)[0])
    stages = model.config.stages
    with np.load(calls, allow_pickle=False) as file:
        recorded: dict[str, NDArray[np.float32]] = {name: file[name] for name in file.files}
    count = len({name.split(".")[1] for name in recorded})
    assert count > 0
    differences: list[float] = []
    with torch.no_grad():
        for call in range(count):
            given = [torch.from_numpy(recorded[f"{CLASS}.{call}.in{number}"]) for number in range(2 * stages - 1)]
            maps, amplitudes = given[:stages], given[stages:]
            for stage, amplitude in zip(model.generator.stages[1:], amplitudes, strict=True):
                torch.testing.assert_close(stage.amplitude, amplitude, rtol=0, atol=0)
            made: Tensor = model.generator(maps)
            expected = torch.from_numpy(recorded[f"{CLASS}.{call}.out0"])
            differences.append((made - expected).abs().max().item())
    return max(differences)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_tensors_in_give_the_same_tensors_out(tmp_path: Path, name: str) -> None:
    folder, store = folder_of(name), Store(tmp_path)
    report = imported(store, folder)
    assert all(settled.by for settled in report.settled), "nothing is taken for granted"
    assert largest_difference(store, folder / "official_calls.npz") <= 2 * CLOSE


@pytest.mark.parametrize("name", NAMES)
def test_each_witness_alone_says_enough(tmp_path: Path, name: str) -> None:
    """Whole modules; or, with a state dict in their place, the option file; or, without it, the folder's name."""
    folder = folder_of(name)
    original = next(path for path in folder.iterdir() if path.is_dir())
    whole = imported(Store(tmp_path / "whole"), folder)
    copy = tmp_path / original.name
    shutil.copytree(original, copy)
    torch.save(dict(read_checkpoint(copy / "G.pth").tensors), copy / "G.pth")
    for witness in ("parameters.txt", "the folder's name"):
        store = Store(tmp_path / witness.replace(" ", "-"))
        report = imported(store, copy)
        assert report.config == whole.config
        assert {settled.by.partition(":")[0] for settled in report.settled} == {witness}
        assert largest_difference(store, folder / "official_calls.npz") <= 2 * CLOSE
        (copy / "parameters.txt").unlink(missing_ok=True)
    bare = copy.rename(tmp_path / "renamed")
    report = imported(Store(tmp_path / "bare"), bare)
    assert not any(settled.by for settled in report.settled)
    said = [f"{settled.field}={settled.value}" for settled in whole.settled]
    assert imported(Store(tmp_path / "said"), bare, *said).config == whole.config
    assert largest_difference(Store(tmp_path / "said"), folder / "official_calls.npz") <= 2 * CLOSE
