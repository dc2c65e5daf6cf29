"""An app that embeds the runtime tells nobody: the home folder of a process that ran a bundle stays empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = (
    "import sys, numpy, i2i_runtime\n"
    "with i2i_runtime.load(sys.argv[1]) as bundle:\n"
    "    bundle.translate(numpy.zeros((8, 8, 3), 'uint8'))\n"
    "print(i2i_runtime.diagnose().telemetry)\n"
)
PLACES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR")


def run_at_home(home: Path, code: str, bundle: Path, **variables: str) -> tuple[str, list[str]]:
    """Run code in a process that knows nothing but an empty home; its output, and what lies in that home afterwards."""
    places = {name: home / name for name in PLACES}
    for folder in places.values():
        folder.mkdir(parents=True)
    # An environment made anew: onnxruntime is quiet by itself where variables such as CI say that nobody watches.
    environment = {"PATH": os.environ["PATH"], **{name: str(folder) for name, folder in places.items()}, **variables}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(bundle)], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip(), [str(p.relative_to(home)) for p in sorted(home.rglob("*")) if p.is_file()]


def test_a_run_leaves_nothing_in_an_empty_home(tiny: Path, tmp_path: Path) -> None:
    told, left = run_at_home(tmp_path / "home", RUN, tiny)
    assert left == []
    assert told.startswith("off")


@pytest.mark.parametrize("value", ["1", "yes", "2", ""])
def test_only_a_plain_no_to_the_switch_leaves_telemetry_on(tiny: Path, tmp_path: Path, value: str) -> None:
    told, left = run_at_home(tmp_path / "home", RUN, tiny, ORT_DISABLE_TELEMETRY=value)
    assert left == []
    assert told.startswith("off")


# The next two say CI=true, with which onnxruntime itself is quiet: a test sends nothing either.
def test_who_asks_for_telemetry_is_left_alone_and_told(tiny: Path, tmp_path: Path) -> None:
    code = RUN + "import os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '0'\n"
    told, _ = run_at_home(tmp_path / "home", code, tiny, ORT_DISABLE_TELEMETRY="0", CI="true")
    assert told == "on: ORT_DISABLE_TELEMETRY=0"


def test_a_process_that_imported_onnxruntime_itself_is_told_so(tiny: Path, tmp_path: Path) -> None:
    told, _ = run_at_home(tmp_path / "home", "import onnxruntime\n" + RUN, tiny, CI="true")
    assert "was imported before i2i_runtime" in told
