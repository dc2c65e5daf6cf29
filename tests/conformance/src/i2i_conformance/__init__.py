"""The tests every i2i plugin has to pass, as a package that plugin authors install and run.

    pip install i2i-conformance
    pytest --pyargs i2i_conformance                       # every installed plugin
    pytest --pyargs i2i_conformance --i2i-model ugatit    # one model

The tests (`test_*.py`) only say what must hold; each of them calls a function of `i2i_conformance.checks`, which can be
called from a plugin's own tests as well and raises `ConformanceError` with what was found, expected and how to mend it.
"""

from __future__ import annotations

from i2i_conformance.cases import ModelCase, OperationCase, PresetCase
from i2i_conformance.errors import ConformanceError

__all__ = ["ConformanceError", "ModelCase", "OperationCase", "PresetCase"]
