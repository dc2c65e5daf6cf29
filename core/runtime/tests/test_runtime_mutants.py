"""Whatever becomes of a bundle's bytes, a reader gives a result or one of our errors, within bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import translate, translator, write_bundle

COUNTS = {"manifest": 150, "values": 250, "graph": 100, "zip": 100, "lone": 100}


@pytest.mark.parametrize("kind", COUNTS)
def test_mutants_give_a_result_or_an_error_of_ours(tmp_path: Path, kind: str) -> None:
    folder = write_bundle(tmp_path / "bundle", (translate(),), {"negate": translator(-1), "keep": translator(1)})
    program = Path(__file__).with_name("mutants.py")
    count = str(COUNTS[kind])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(folder), kind, "0", count],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > int(count) // 4  # most mutants are no bundles
