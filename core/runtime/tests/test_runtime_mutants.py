"""Whatever becomes of a bundle's bytes, a reader gives a result or one of our errors, within bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .spatial_toys import write_spatial

COUNTS = {"manifest": 150, "values": 250, "graph": 100, "zip": 100, "lone": 100}


@pytest.mark.parametrize("kind", COUNTS)
def test_mutants_give_a_result_or_an_error_of_ours(tiny: Path, kind: str) -> None:
    run(tiny, kind)


def test_mutants_of_sizes_noise_masks_and_grids_do_so_too(tmp_path: Path) -> None:
    run(write_spatial(tmp_path / "spatial"), "values")


def run(folder: Path, kind: str) -> None:
    program = Path(__file__).with_name("mutants.py")
    count = str(COUNTS[kind])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(folder), kind, "0", count],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 0 < int(done.stdout) <= int(count)  # some are refused when they are loaded, others by a call, or not at all
