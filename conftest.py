"""For all tests: signals end a program, however the tests were started, torch has one thread, long tests come first."""

from __future__ import annotations

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Read by torch when it is imported, in pytest-xdist's workers and in the commands that tests start as well. Two
workers with two threads each wait for each other more than they compute; and sums have one order."""

collect_ignore = ["core/toolkit/src/i2i_toolkit/authoring/templates"]
"""Their tests are those of the plugins that are made of them."""


def pytest_configure() -> None:
    """Undo what `nohup` and the background of a shell hand down: that SIGHUP or SIGINT are ignored.

    The commands that tests start inherit it, and rightly stay deaf then.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)  # after pytest has put together what shares a fixture
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: those left for the end are short, and no worker waits long for another.

    Raises UsageError for a test that has another name in every process: two workers could not share such tests.
    """
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"the name of this test holds an address: {unstable[0]}; give its cases ids")
    items.sort(key=lambda item: not item.nodeid.startswith("tests/end_to_end/"))
