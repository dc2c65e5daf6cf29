"""Asking a plugin for its cards is cheap: `i2i-registry list` does it for every plugin at every start."""

from __future__ import annotations

import json
import subprocess
import sys

from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_registry.plugins.discovery import Registry

HEAVY = {
    "accelerate",
    "cv2",
    "diffusers",
    "jax",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "scipy",
    "skimage",
    "tensorflow",
    "torch",
    "torchvision",
}
"""Packages that discovery must not load."""

BUDGET_S = 0.1
"""CPU time for importing a plugin's module and asking its hooks, beyond what i2i_registry loads by itself."""

TRIES = 3
"""The fastest counts: the first one may find cold caches."""

_PROBE = """
import importlib, json, sys, time
import i2i_registry.interfaces.cards, i2i_registry.plugins.discovery, i2i_registry.plugins.hooks
before = set(sys.modules)
start = time.process_time()
module = importlib.import_module(sys.argv[1])
for hook in ("i2i_models", "i2i_exporters", "i2i_commands"):
    if hook in vars(module):
        list(getattr(module, hook)())
seconds = time.process_time() - start
print(json.dumps([seconds, sorted(name for name in set(sys.modules) - before)]))
"""


@promised("The entry point")
def check_nothing_is_broken(registry: Registry, distribution: str) -> None:
    """The distribution's plugin loads."""
    for plugin in registry.broken:
        if plugin.distribution == distribution:
            raise ConformanceError(
                f"{distribution}: {plugin.reason}", expected=plugin.expected or "a plugin that loads", fix=plugin.fix
            )


@promised("The entry point")
def check_discovery_is_light(module: str) -> None:
    """A fresh process that imports the entry point's `module` and asks its hooks loads nothing heavy, quickly."""
    tries = [_probe(module) for _ in range(TRIES)]
    loaded = sorted({name.partition(".")[0] for name in tries[0][1]} & HEAVY)
    if loaded:
        raise ConformanceError(
            found=f"importing {module} loads {', '.join(loaded)}",
            expected="cards only: no network, no image library",
            fix='keep such imports in the modules that the card names ("package.module:Class"), and out of the '
            "module of the entry point and whatever it imports",
        )
    fastest = min(seconds for seconds, _ in tries)
    if fastest > BUDGET_S:
        raise ConformanceError(
            found=f"importing {module} and asking its hooks takes {fastest:.2f} s of CPU time",
            expected=f"at most {BUDGET_S} s",
            fix=f"python -X importtime -c 'import {module}' shows where the time goes",
        )


def _probe(module: str) -> tuple[float, list[str]]:
    command = [sys.executable, "-c", _PROBE, module]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise ConformanceError(
            found=f"importing {module} in a fresh process fails: {finished.stderr.strip().splitlines()[-1]}",
            expected="a module that imports",
            fix=finished.stderr,
        )
    seconds, modules = json.loads(finished.stdout.splitlines()[-1])
    return float(seconds), list(modules)
