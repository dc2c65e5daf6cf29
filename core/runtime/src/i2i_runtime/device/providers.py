"""Where a bundle runs, told honestly: onnxruntime itself falls back to the CPU in silence.

Its list of available providers describes how the wheel was built, not the machine. So a device counts as usable only
when its libraries load and a small convolution has run on it in a session that really holds its provider.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import io
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

import numpy as np

from i2i_runtime.device import telemetry
from i2i_runtime.device.probe import conv_model
from i2i_runtime.errors import DeviceError, nearest

DeviceKind: TypeAlias = Literal["cpu", "cuda", "tensorrt"]
ProviderOptions: TypeAlias = dict[str, str]

PROVIDERS: Mapping[DeviceKind, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
"""Distributions that all install the one package `onnxruntime`; only one of them may be there."""

OLDEST = (1, 26)
"""onnxruntime: 1.25 and older have no kernel for a product that they make of SinGAN's graphs."""

INSTALL_CPU = 'pip install "i2i-runtime[cpu]"'
INSTALL_GPU = 'pip install "i2i-runtime[gpu]"'
REINSTALL = "pip uninstall -y " + " ".join(WHEELS) + " && " + INSTALL_CPU + "   (or [gpu])"

_CHOICES = ("auto", "cpu", "cuda", "cuda:1", "tensorrt")
# preload_dlls and redirect_stdout change the process, so they happen one at a time.
_preload_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was found usable, and why it was taken."""

    kind: DeviceKind
    index: int
    reason: str

    @property
    def name(self) -> str:
        """As it is written in `device=`: "cpu", "cuda:0", "tensorrt:0"."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @property
    def provider(self) -> str:
        """onnxruntime's name for it."""
        return PROVIDERS[self.kind]


def resolve(request: str) -> Device:
    """Return the device for "auto", "cpu", "cuda", "cuda:N", "tensorrt" or "tensorrt:N", tried out.

    "auto" takes CUDA where it works and the CPU otherwise, and says why in `Device.reason`.

    Raises DeviceError when the text is no device, or the device asked for cannot be used here.
    """
    kind, index = _parse(request)
    if kind != "auto":
        check_usable(kind, index)
        return Device(kind, index, f"device={request!r} was asked for")
    if PROVIDERS["cuda"] not in built_in_providers():
        return Device("cpu", 0, "auto took the CPU: the installed onnxruntime wheel is built without CUDA")
    driver = library_names("cuda")[0]
    if not _loads(driver):  # the usual case, told shortly and before anything else is loaded
        return Device("cpu", 0, f"auto took the CPU: there is no NVIDIA driver ({driver} cannot be loaded)")
    try:
        check_usable("cuda", 0)
    except DeviceError as error:
        return Device("cpu", 0, f"auto took the CPU: {error.found}")
    return Device("cuda", 0, "auto took CUDA: a test convolution ran on it")


def _parse(request: str) -> tuple[DeviceKind | Literal["auto"], int]:
    match = re.fullmatch(r"(auto|cpu)|(cuda|tensorrt)(?::(\d{1,3}))?", request)
    if match is None:
        raise DeviceError(found=f"unknown device {request!r}", expected=nearest(request, _CHOICES))
    if match[1]:
        return ("auto" if match[1] == "auto" else "cpu"), 0
    return ("cuda" if match[2] == "cuda" else "tensorrt"), int(match[3] or 0)


def wheels() -> dict[str, str]:
    """Installed distributions that bring the package `onnxruntime`: name -> version."""
    found: dict[str, str] = {}
    for name in WHEELS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def onnxruntime() -> ModuleType:
    """Return the package onnxruntime, with its telemetry off (`telemetry`).

    Nothing of ours imports it in any other way.

    Raises DeviceError that explains what is wrong with its installation: no wheel, or several that broke each other.
    """
    if "onnxruntime" not in sys.modules:
        telemetry.switch_off()
    try:
        module = importlib.import_module("onnxruntime")
    except (ImportError, OSError) as error:
        raise _broken_installation(str(error)) from error
    if not hasattr(module, "InferenceSession"):  # an empty folder is left when one of two wheels was removed
        raise _broken_installation("its files are missing")
    _silence_once()
    return module


@functools.cache
def _silence_once() -> None:
    telemetry.silence(sys.modules["onnxruntime"])


def _broken_installation(reason: str) -> DeviceError:
    installed = wheels()
    if not installed:
        return DeviceError(
            found=f"onnxruntime is not installed ({reason})",
            expected="one onnxruntime wheel; i2i-runtime leaves the choice to you",
            fix=f"{INSTALL_CPU}   or, for NVIDIA GPUs, {INSTALL_GPU}",
        )
    listed = ", ".join(f"{name} {version}" for name, version in installed.items())
    several = "these wheels overwrite each other's files" if len(installed) > 1 else "its files are damaged or gone"
    return DeviceError(
        found=f"onnxruntime cannot be imported ({reason}) although {listed} is recorded as installed: {several}",
        expected="exactly one wheel, whole",
        fix=REINSTALL,
    )


def built_in_providers() -> tuple[str, ...]:
    """Return the providers that the installed wheel was built with, usable or not."""
    return tuple(onnxruntime().get_available_providers())


@functools.cache
def check_usable(kind: DeviceKind, index: int = 0) -> None:
    """Return when the device works; the outcome is remembered when it does.

    Raises DeviceError that names what is missing and the line that installs it.
    """
    if kind == "cpu":
        onnxruntime()
        return
    if PROVIDERS[kind] not in built_in_providers():
        installed = ", ".join(wheels()) or "none"
        raise DeviceError(
            found=f"{kind} was asked for, but the installed wheel ({installed}) is built without {PROVIDERS[kind]}",
            expected="a GPU wheel",
            fix=f"pip uninstall -y {installed} && {INSTALL_GPU}",
        )
    missing = missing_libraries(kind)
    if missing:
        raise DeviceError(
            found=f"{kind} cannot be used: {', '.join(missing)} cannot be loaded",
            expected="an NVIDIA driver and the CUDA libraries that this wheel was built for",
            fix=_fix_for(missing),
        )
    _run_probe(kind, index)


def _fix_for(missing: tuple[str, ...]) -> str:
    if missing[0].startswith(("libcuda.", "nvcuda")):
        return "install the NVIDIA driver (in a container: start it with the GPU, e.g. --gpus all), or device='cpu'"
    if any("nvinfer" in name for name in missing):
        return "pip install tensorrt-cu13   (the version that fits this wheel), or device='cuda'"
    return f"{INSTALL_GPU}   (brings the CUDA libraries as wheels), or device='cpu'"


def library_names(kind: DeviceKind) -> tuple[str, ...]:
    """Shared libraries the provider needs, driver first, for the CUDA version the wheel was built with."""
    if kind == "cpu":
        return ()
    major = str(getattr(onnxruntime(), "cuda_version", "") or "13").split(".", maxsplit=1)[0]
    if sys.platform == "win32":
        names = ("nvcuda.dll", f"cublasLt64_{major}.dll", f"cublas64_{major}.dll", f"cudart64_{major}.dll")
        names += ("cudnn64_9.dll",)
        return names if kind == "cuda" else (*names, "nvinfer_10.dll", "nvonnxparser_10.dll")
    names = ("libcuda.so.1", f"libcublasLt.so.{major}", f"libcublas.so.{major}", f"libcudart.so.{major}")
    names += ("libcurand.so.10", "libcudnn.so.9")
    return names if kind == "cuda" else (*names, "libnvinfer.so.10", "libnvonnxparser.so.10")


def missing_libraries(kind: DeviceKind) -> tuple[str, ...]:
    """Those of `library_names` that cannot be loaded, once the CUDA wheels of pip have been looked through."""
    if kind != "cpu":
        _preload()
    # The provider's own library must not be loaded here: it takes its host from onnxruntime while it is loaded.
    return tuple(name for name in library_names(kind) if not _loads(name))


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _preload() -> None:
    """Make the CUDA libraries of pip's nvidia wheels known to the loader; without it they are not found."""
    with _preload_lock:
        _preload_once()


@functools.cache
def _preload_once() -> None:
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what is missing; `missing_libraries` says it
            preload()


def _run_probe(kind: DeviceKind, index: int) -> None:
    """Run the convolution of `probe` on the device."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    device = Device(kind, index, "probe")
    image = np.ones((1, 4, 8, 8), dtype=np.float32)
    try:
        with _preload_lock, contextlib.redirect_stdout(io.StringIO()):  # a failing TensorRT prints a banner
            session = ort.InferenceSession(conv_model(4), options, providers=providers(device, fixed_size=True))
        check_took(device, session.get_providers())
        session.run(None, {"x": image})
    except failures() as error:
        raise DeviceError(
            found=f"{device.name} cannot run a convolution: {error}", fix="see what `i2i-registry doctor` says"
        ) from error


def check_took(device: Device, taken: Sequence[str]) -> None:
    """Compare a session's own providers with the device it was made for. Raises DeviceError when they differ."""
    if device.provider not in taken:
        raise DeviceError(
            found=f"onnxruntime fell back to {', '.join(taken)} although {device.name} was asked for",
            expected=device.provider,
            fix="`i2i-registry doctor` tells what is missing; device='auto' accepts the CPU",
        )


def providers(device: Device, *, fixed_size: bool, cache: Path | None = None) -> list[tuple[str, ProviderOptions]]:
    """Return the providers with their options, in order of priority, for one session.

    `cache` is the folder for TensorRT's engines, which take minutes to build.
    """
    chain: list[tuple[str, ProviderOptions]] = []
    if device.kind == "tensorrt":
        chain.append((PROVIDERS["tensorrt"], _tensorrt_options(device.index, cache)))
    if device.kind != "cpu":
        chain.append((PROVIDERS["cuda"], _cuda_options(device.index, fixed_size=fixed_size)))
    return [*chain, (PROVIDERS["cpu"], {})]


def _cuda_options(index: int, *, fixed_size: bool) -> ProviderOptions:
    return {
        "device_id": str(index),
        # The exhaustive search times every algorithm again for each new image size: seconds instead of milliseconds.
        "cudnn_conv_algo_search": "EXHAUSTIVE" if fixed_size else "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",
        # TF32 rounds to 10 bits of mantissa, which breaks the parity that the manifest records.
        "use_tf32": "0",
    }


def _tensorrt_options(index: int, cache: Path | None) -> ProviderOptions:
    options = {"device_id": str(index)}
    if cache is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache),
        }
    return options


def cache_folder() -> Path:
    """Where TensorRT's engines are kept: the user's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData/Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "i2i-runtime" / "tensorrt"


@functools.cache
def failures() -> tuple[type[Exception], ...]:
    """Return what a session may raise: onnxruntime's own exceptions share no base, so they are listed."""
    onnxruntime()
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    onnxruntime_errors = (
        value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)
    )
    return (*onnxruntime_errors, RuntimeError, ValueError)
