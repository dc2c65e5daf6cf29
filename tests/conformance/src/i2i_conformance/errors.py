"""How a check fails."""

from __future__ import annotations

from i2i_runtime.errors import I2IError


class ConformanceError(I2IError, AssertionError):
    """A plugin breaks a promise of the interfaces: what was found, what was expected, and what its author can do."""
