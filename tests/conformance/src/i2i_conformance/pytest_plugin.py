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


def asked_models(config: pytest.Config) -> list[str]:
    """Return the names that `--i2i-model` was given."""
    names: list[str] | None = config.getoption("--i2i-model")
    return names or []


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a model that is not installed before anything is collected."""
    names = asked_models(config)
    if not names:
        return
    from i2i_registry.errors import UnknownName  # noqa: PLC0415
    from i2i_registry.plugins.discovery import discover  # noqa: PLC0415 - every pytest run in this environment loads this file

    registry = discover(strict=False)
    for name in names:
        try:
            registry.model_card(name)
        except UnknownName as error:
            raise pytest.UsageError(str(error)) from error
