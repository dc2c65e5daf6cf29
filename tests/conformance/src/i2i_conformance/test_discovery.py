"""Plugins are found quickly, and know only what they may know."""

from __future__ import annotations

from i2i_conformance.cases import ModelCase
from i2i_conformance.checks import dependencies, discovery
from i2i_registry.plugins.discovery import Registry


def test_the_plugin_loads(model_case: ModelCase) -> None:
    discovery.check_nothing_is_broken(model_case.registry, model_case.distribution)


def test_no_installed_plugin_is_broken(registry: Registry) -> None:
    assert registry.broken == ()


def test_discovery_loads_nothing_heavy_and_is_quick(model_case: ModelCase) -> None:
    discovery.check_discovery_is_light(model_case.entry_module)


def test_the_distribution_depends_on_ours_only(model_case: ModelCase) -> None:
    dependencies.check_requirements(model_case.distribution)


def test_the_plugin_imports_no_other_plugin(model_case: ModelCase) -> None:
    package = model_case.package
    others = {other.package for other in model_case.others()}
    dependencies.check_imports_no_other_plugin(package, others - {package})
