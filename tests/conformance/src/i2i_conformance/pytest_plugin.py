"""The suite's option. Installed as a pytest plugin, so that it is known before the first test file is read."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--i2i-model`."""
    group = parser.getgroup("i2i", "i2i conformance suite")
    group.addoption(
        "--i2i-model",
        action="append",
        default=[],
        metavar="NAME",
        help="run the conformance suite over this model only; may be repeated (default: all installed models)",
    )
