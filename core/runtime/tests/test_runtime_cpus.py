"""Threads follow what the process may use: affinity, control group, one environment variable, one argument."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2i_runtime.device import cpus
from i2i_runtime.errors import UsageError


def machine(root: Path, membership: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpus.cgroup_quota(tmp_path) is None


def test_the_lowest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/pod/app/cpu.max": "400000 100000\n",
    }
    assert cpus.cgroup_quota(machine(tmp_path, "0::/pod/app\n", files)) == 1.5


def test_inside_a_container_the_mounted_top_counts(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "50000 100000\n"}
    assert cpus.cgroup_quota(machine(tmp_path, "0::/../elsewhere\n", files)) == 0.5


def test_version_1_is_read_too(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert cpus.cgroup_quota(machine(tmp_path, "3:cpu,cpuacct:/docker\n2:memory:/x\n", files)) == 2.0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_limits_the_threads() -> None:
    code = (
        "import os; from i2i_runtime.device import cpus\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(cpus.usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_the_argument_wins_over_the_environment_which_wins_over_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cpus.THREADS_VARIABLE, raising=False)
    assert cpus.thread_count() == cpus.usable_cpus()
    monkeypatch.setenv(cpus.THREADS_VARIABLE, "3")
    assert cpus.thread_count() == 3
    assert cpus.thread_count(5) == 5


@pytest.mark.parametrize("value", ["0", "-2", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(cpus.THREADS_VARIABLE, value)
    with pytest.raises(UsageError, match=cpus.THREADS_VARIABLE):
        cpus.thread_count()
    with pytest.raises(UsageError, match="threads is '0'"):
        cpus.thread_count(0)
