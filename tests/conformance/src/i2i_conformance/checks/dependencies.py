"""A plugin stands on our distributions and on nothing else, so that all plugins can be installed together."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised

FOUNDATIONS = ("i2i-runtime", "i2i-registry", "i2i-toolkit", "i2i-exporter-")
"""Distributions a plugin may need; a trailing dash stands for all that begin so."""


@promised("The distribution")
def check_requirements(distribution: str) -> None:
    """Everything that the distribution always needs is one of ours (and its extras)."""
    check_requirement_lines(distribution, requires(distribution) or [])


@promised("The distribution")
def check_requirement_lines(distribution: str, lines: Collection[str]) -> None:
    """`lines` as in a wheel's metadata; those behind an extra of the plugin's own are its author's business."""
    needed = [Requirement(line) for line in lines]
    always = [need for need in needed if need.marker is None or "extra" not in str(need.marker)]
    external = sorted(str(need) for need in always if not _is_foundation(need.name.lower().replace("_", "-")))
    if external:
        raise ConformanceError(
            found=f"{distribution} depends on {', '.join(external)}",
            expected="i2i-runtime, i2i-registry, i2i-toolkit, exporters, and their extras",
            fix="take what you need through i2i-toolkit, or put it behind an extra of your own",
        )


@promised("The distribution")
def check_imports_no_other_plugin(package: str, others: Collection[str]) -> None:
    """No module of `package` imports one of the top-level packages `others`."""
    for path in _modules(package):
        for name in _imported(path):
            if name in others:
                raise ConformanceError(
                    found=f"{path} imports {name}, which is another plugin",
                    expected="plugins that know nothing of each other",
                    fix="copy what you need; what three papers share belongs into i2i-toolkit",
                )


def _is_foundation(name: str) -> bool:
    return any(name == ours or (ours.endswith("-") and name.startswith(ours)) for ours in FOUNDATIONS)


def _modules(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ConformanceError(f"there is no module {package}", expected="the module of the entry point")
    if spec.submodule_search_locations is None:
        yield Path(str(spec.origin))
        return
    for folder in spec.submodule_search_locations:
        yield from sorted(Path(folder).rglob("*.py"))


def _imported(path: Path) -> Iterator[str]:
    """Top-level names of the packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
