"""What works on this machine, and what to do about the rest: the facts behind `i2i-registry doctor`."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from pathlib import Path

import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from i2i_runtime.device import providers as devices
from i2i_runtime.device import telemetry
from i2i_runtime.device.cpus import THREADS_VARIABLE, thread_count
from i2i_runtime.device.probe import conv_model
from i2i_runtime.device.providers import PROVIDERS, Device, DeviceKind
from i2i_runtime.errors import DeviceError, I2IError, UsageError
from i2i_runtime.records import Record

_PROBE_CHANNELS, _PROBE_SIDE, _PROBE_RUNS = 32, 256, 5


class Problem(Record):
    """Something that is not as it should be, and the way out."""

    what: str
    fix: str


class ProviderState(Record):
    """One way to run a graph, as far as this machine is concerned."""

    name: str
    built_in: bool
    """whether the installed wheel was built with it; says nothing about the machine"""
    usable: bool
    """whether a convolution ran on it"""
    reason: str = ""
    """why it is not usable"""
    missing_libraries: tuple[str, ...] = ()
    found_libraries: tuple[str, ...] = ()


class Diagnosis(Record):
    """Everything a report about a failing machine should contain."""

    python: str
    system: str
    wheels: dict[str, str]
    """installed onnxruntime distributions; exactly one is right"""
    onnxruntime: str
    """version that imports; empty when none does"""
    location: str
    """folder it was imported from"""
    cuda_version: str
    """CUDA version the wheel was built for; empty for CPU wheels"""
    telemetry: str
    """whether onnxruntime may collect and send events from this process, and the switch"""
    providers: tuple[ProviderState, ...]
    hardware: tuple[str, ...]
    """devices that onnxruntime itself finds on the machine"""
    auto: str
    """what device="auto" takes here, and why"""
    threads: PositiveInt
    threads_source: str
    probe_milliseconds: NonNegativeFloat | None
    """median time of one convolution of 1.2 GFLOP on the CPU with that many threads; None when nothing can run"""
    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Whether bundles run here, on the CPU at least, and nothing needs attention."""
        return not self.problems


def diagnose() -> Diagnosis:
    """Look at wheels, libraries, providers and threads, and time a convolution. Never raises for what it finds."""
    problems: list[Problem] = []
    wheels = devices.wheels()
    if len(wheels) > 1:
        listed = " and ".join(f"{name} {version}" for name, version in wheels.items())
        problems.append(
            Problem(
                what=f"{listed} are both installed: they share one folder, and the last one installed is what runs",
                fix=devices.REINSTALL,
            )
        )
    threads, source = _threads(problems)
    module = None
    try:
        module = devices.onnxruntime()
    except DeviceError as error:
        problems.append(Problem(what=error.found, fix=error.fix))
    if module:
        problems += too_old(str(module.__version__))
    providers = tuple(_provider(kind) for kind in PROVIDERS) if module else ()
    problems += _provider_problems(providers)
    return Diagnosis(
        python=f"{platform.python_version()} ({sys.executable})",
        system=platform.platform(),
        wheels=wheels,
        onnxruntime=str(module.__version__) if module else "",
        location=str(Path(str(module.__file__)).parent) if module else "",
        cuda_version=str(getattr(module, "cuda_version", "") or ""),
        telemetry=telemetry.state(),
        providers=providers,
        hardware=_hardware(),
        auto=_auto(),
        threads=threads,
        threads_source=source,
        probe_milliseconds=_timed_probe(threads) if module else None,
        problems=tuple(problems),
    )


def _threads(problems: list[Problem]) -> tuple[int, str]:
    try:
        threads = thread_count()
    except UsageError as error:
        problems.append(Problem(what=error.found, fix=f"unset {THREADS_VARIABLE}, or set it to a number from 1"))
        return thread_count(1), "one, because the environment variable cannot be read"
    if os.environ.get(THREADS_VARIABLE):
        return threads, f"the environment variable {THREADS_VARIABLE}"
    return threads, f"the CPUs this process may use, of {os.cpu_count()} in the machine"


def _provider(kind: DeviceKind) -> ProviderState:
    name = PROVIDERS[kind]
    if name not in devices.built_in_providers():
        return ProviderState(name=name, built_in=False, usable=False, reason="the installed wheel is built without it")
    missing = devices.missing_libraries(kind)
    found = tuple(library for library in devices.library_names(kind) if library not in missing)
    reason = ""
    try:
        devices.check_usable(kind)
    except DeviceError as error:
        reason = error.found
    return ProviderState(
        name=name,
        built_in=True,
        usable=not reason,
        reason=reason,
        missing_libraries=missing,
        found_libraries=found,
    )


def _provider_problems(providers: tuple[ProviderState, ...]) -> list[Problem]:
    """Return a wheel with CUDA on a machine with an NVIDIA driver should run on it; without a driver it need not."""
    for state in providers:
        driver = state.found_libraries[:1] == devices.library_names("cuda")[:1]
        if state.name == PROVIDERS["cuda"] and state.built_in and driver and not state.usable:
            return [Problem(what=f"there is an NVIDIA driver, but {state.reason}", fix=devices.INSTALL_GPU)]
    return []


def _hardware() -> tuple[str, ...]:
    try:
        listing = getattr(devices.onnxruntime(), "get_ep_devices", tuple)  # older ones have none
    except DeviceError:
        return ()
    return tuple(f"{entry.ep_name}: {entry.device.vendor} {entry.device.type.name}" for entry in listing())


def too_old(version: str) -> tuple[Problem, ...]:
    """Return the problem of an onnxruntime that is older than any that bundles have been tried with."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= devices.OLDEST:
        return ()
    oldest = ".".join(map(str, devices.OLDEST))
    what = f"onnxruntime {version} is older than {oldest}, the oldest that runs every bundle"
    return (Problem(what=what, fix=f'pip install --upgrade "{devices.wheels().popitem()[0]}>={oldest}"'),)


def _auto() -> str:
    try:
        device = devices.resolve("auto")
    except I2IError as error:
        return f"nothing: {error.found}"
    return f"{device.name} ({device.reason})"


def _timed_probe(threads: int) -> float:
    """Milliseconds for one convolution, 32 to 32 channels at 256 x 256 pixels; median of five after a first run."""
    ort = devices.onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    cpu = Device("cpu", 0, "probe")
    session = ort.InferenceSession(
        conv_model(_PROBE_CHANNELS), options, providers=devices.providers(cpu, fixed_size=True)
    )
    image = np.ones((1, _PROBE_CHANNELS, _PROBE_SIDE, _PROBE_SIDE), dtype=np.float32)
    session.run(None, {"x": image})
    seconds: list[float] = []
    for _ in range(_PROBE_RUNS):
        start = time.perf_counter()
        session.run(None, {"x": image})
        seconds.append(time.perf_counter() - start)
    return round(1000 * sorted(seconds)[_PROBE_RUNS // 2], 3)
