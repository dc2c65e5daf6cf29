"""Run image-to-image bundles with onnxruntime, without torch.

    import i2i_runtime as i2i

    bundle = i2i.load("anime-onnx")
    bundle.translate("me.jpg").save("out.png")

Importing this package loads nothing heavy; pydantic, numpy, Pillow and onnxruntime come in when they are needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i_runtime.bundle import Bundle, load
    from i2i_runtime.doctor import Diagnosis, diagnose
    from i2i_runtime.errors import (
        BundleError,
        DeviceError,
        I2IError,
        OptionError,
        PictureError,
        RunError,
        StorageError,
        UnknownOperationError,
        UsageError,
    )
    from i2i_runtime.interpolation import lerp, slerp
    from i2i_runtime.manifest import (
        GraphFile,
        Licence,
        Manifest,
        Paper,
        Parity,
        ParityCase,
        TensorSpec,
        WeightsSource,
    )
    from i2i_runtime.operations import (
        Blend,
        HeatmapOutput,
        ImageInput,
        ImageOutput,
        LabelInput,
        LatentInput,
        Operation,
        ScalarInput,
        SizeRule,
        Step,
        VectorOutput,
        Walk,
    )
    from i2i_runtime.pictures import stack
    from i2i_runtime.reading import read_manifest
    from i2i_runtime.spatial_inputs import GridInput, MaskInput, NoiseInput, SizeInput

__all__ = [
    "Blend",
    "Bundle",
    "BundleError",
    "DeviceError",
    "Diagnosis",
    "GraphFile",
    "GridInput",
    "HeatmapOutput",
    "I2IError",
    "ImageInput",
    "ImageOutput",
    "LabelInput",
    "LatentInput",
    "Licence",
    "Manifest",
    "MaskInput",
    "NoiseInput",
    "Operation",
    "OptionError",
    "Paper",
    "Parity",
    "ParityCase",
    "PictureError",
    "RunError",
    "ScalarInput",
    "SizeInput",
    "SizeRule",
    "Step",
    "StorageError",
    "TensorSpec",
    "UnknownOperationError",
    "UsageError",
    "VectorOutput",
    "Walk",
    "WeightsSource",
    "diagnose",
    "lerp",
    "load",
    "read_manifest",
    "slerp",
    "stack",
]

_HOMES = {
    "bundle": ("Bundle", "load"),
    "doctor": ("Diagnosis", "diagnose"),
    "errors": (
        "BundleError",
        "DeviceError",
        "I2IError",
        "OptionError",
        "PictureError",
        "RunError",
        "StorageError",
        "UnknownOperationError",
        "UsageError",
    ),
    "manifest": (
        "GraphFile",
        "Licence",
        "Manifest",
        "Paper",
        "Parity",
        "ParityCase",
        "TensorSpec",
        "WeightsSource",
    ),
    "interpolation": ("lerp", "slerp"),
    "operations": (
        "Blend",
        "HeatmapOutput",
        "ImageInput",
        "ImageOutput",
        "LabelInput",
        "LatentInput",
        "Operation",
        "ScalarInput",
        "SizeRule",
        "Step",
        "VectorOutput",
        "Walk",
    ),
    "pictures": ("stack",),
    "reading": ("read_manifest",),
    "spatial_inputs": ("GridInput", "MaskInput", "NoiseInput", "SizeInput"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
