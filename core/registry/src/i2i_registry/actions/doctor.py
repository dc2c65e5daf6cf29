"""What `i2i-registry doctor` tells: the machine, as the runtime sees it, and our own installation."""

from __future__ import annotations

import shutil
from importlib.metadata import distributions

from i2i_registry.errors import StoreError
from i2i_registry.plugins.discovery import BrokenPlugin, Plugin, Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store
from i2i_runtime.device.doctor import Diagnosis, Problem, diagnose
from i2i_runtime.records import Record

_OURS = "i2i-"
_RELATED = ("torch", "onnx", "onnxscript", "accelerate", "safetensors", "numpy", "pillow", "pydantic")


class Report(Record):
    """Everything a report about a failing machine should contain."""

    machine: Diagnosis
    distributions: dict[str, str]
    """ours, and those that matter most to them: name -> version"""
    plugins: tuple[Plugin, ...]
    broken: tuple[BrokenPlugin, ...]
    store: str
    store_free_bytes: int
    problems: tuple[Problem, ...]
    """the machine's, the plugins' and the store's, each with the way out"""


def examine(registry: Registry, store: Store) -> Report:
    """Look at everything. Never raises for what it finds."""
    machine = diagnose()
    plugins = tuple(
        Problem(
            what=f"the plugin {plugin.name!r} ({plugin.distribution} {plugin.version}): {plugin.reason}"
            + (f"; expected {plugin.expected}" if plugin.expected else ""),
            fix=plugin.fix,
        )
        for plugin in registry.broken
    )
    return Report(
        machine=machine,
        distributions=_versions(),
        plugins=registry.plugins,
        broken=registry.broken,
        store=str(store.root),
        store_free_bytes=_free_bytes(store),
        problems=(*machine.problems, *plugins, *_weights_problems(registry, store)),
    )


def report_lines(report: Report) -> list[str]:
    """Return the report for people, problems last."""
    machine = report.machine
    probe = machine.probe_milliseconds
    lines = [
        f"python        {machine.python}",
        f"system        {machine.system}",
        f"onnxruntime   {_wheels(machine)}",
        f"telemetry     {machine.telemetry}",
        *(f"provider      {state.name}: {'usable' if state.usable else state.reason}" for state in machine.providers),
        *(f"hardware      {device}" for device in machine.hardware),
        f"device=auto   {machine.auto}",
        f"threads       {machine.threads}: {machine.threads_source}",
        "probe         " + ("nothing can run" if probe is None else f"a convolution of 1.2 GFLOP in {probe:.1f} ms"),
        f"store         {report.store} ({report.store_free_bytes / 1e9:.1f} GB free)",
        *(f"installed     {name} {version}" for name, version in report.distributions.items()),
    ]
    if not report.problems:
        return [*lines, "", "no problems found"]
    lines.append("")
    for problem in report.problems:
        lines += [f"problem: {problem.what}", f"  fix: {problem.fix}"]
    return lines


def _wheels(machine: Diagnosis) -> str:
    if not machine.onnxruntime:
        return "none that imports"
    built_for = f", built for CUDA {machine.cuda_version}" if machine.cuda_version else ""
    return f"{machine.onnxruntime} ({', '.join(machine.wheels)}{built_for}) in {machine.location}"


def _versions() -> dict[str, str]:
    installed = {distribution.name: distribution.version for distribution in distributions()}
    ours = {name: version for name, version in sorted(installed.items()) if name.startswith(_OURS)}
    return ours | {name: installed[name] for name in _RELATED if name in installed}


def _free_bytes(store: Store) -> int:
    place = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    return shutil.disk_usage(place).free


def _weights_problems(registry: Registry, store: Store) -> list[Problem]:
    try:
        catalogue = Catalogue.gather(registry, store)
        conflicts, hidden, damaged = catalogue.conflicts(), catalogue.hidden(), store.damage()
    except StoreError as error:
        return [Problem(what=error.found, fix=error.fix or "reinstall i2i-registry")]
    return [
        *(Problem(what=error.found, fix=error.fix) for error in damaged),
        *(
            Problem(what=line, fix="upgrade both: pip install --upgrade i2i-registry and the plugin")
            for line in conflicts
        ),
        *(
            Problem(
                what=f"{name!r} means your own weights; what ships under that name cannot be named",
                fix=f"i2i-registry rename {name} --as {catalogue.free_name(name)}",
            )
            for name in hidden
        ),
    ]
