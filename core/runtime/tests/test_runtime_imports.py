"""The package is light to import, and its public face is what it says."""

from __future__ import annotations

import subprocess
import sys
from typing import get_origin

import pytest

import i2i_runtime as i2i


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'onnxruntime', 'pydantic', 'onnx'}"
    assert fresh(f"import sys, i2i_runtime; print({heavy} & set(sys.modules))") == "set()"


def test_errors_and_the_records_of_cards_load_neither_numpy_nor_pillow() -> None:
    code = (
        "import sys, i2i_runtime\n"
        "i2i_runtime.I2IError, i2i_runtime.Record, i2i_runtime.Licence, i2i_runtime.Paper, i2i_runtime.OperationName\n"
        "print({'torch', 'numpy', 'PIL', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    assert fresh(code) == "set()"


def test_manifests_load_no_framework() -> None:
    code = (
        "import sys, i2i_runtime\n"
        "i2i_runtime.Manifest, i2i_runtime.read_manifest\n"
        "print({'torch', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    assert fresh(code) == "set()"


def test_a_whole_run_never_loads_torch_or_onnx(tiny: object) -> None:
    code = (
        "import sys, numpy, i2i_runtime\n"
        f"i2i_runtime.load({str(tiny)!r}).translate(numpy.zeros((8, 8, 3), 'uint8'))\n"
        "print({'torch', 'onnx'} & set(sys.modules))"
    )
    assert fresh(code) == "set()"


def test_every_public_name_exists_and_is_documented() -> None:
    assert {"load", "Bundle", "I2IError"} <= set(dir(i2i))
    for name in dir(i2i):
        value = getattr(i2i, name)
        assert value.__doc__ or get_origin(value), name  # a type alias has no docstring that could be read here


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lod"):
        getattr(i2i, "lod")  # noqa: B009 - a name that a type checker would refuse
