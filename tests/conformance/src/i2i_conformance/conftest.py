"""Gives the tests of this package their cases, and what is expensive to make: trainings and bundles."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence

import pytest
import torch

from i2i_conformance.cases import ModelCase, OperationCase, PresetCase, installed
from i2i_conformance.pytest_plugin import asked_models
from i2i_conformance.workbench import Workbench
from i2i_registry.plugins.discovery import Registry, discover

REGISTRY = pytest.StashKey[Registry]()
MODELS = pytest.StashKey[list[ModelCase]]()

Case = ModelCase | PresetCase | OperationCase

CASES: Mapping[str, Callable[[ModelCase], Sequence[Case]]] = {
    "model_case": lambda model: [model],
    "preset_case": lambda model: model.presets,
    "config_case": lambda model: model.configs,
    "training_case": lambda model: model.trainings,
    "bundle_case": lambda model: model.bundles,
    "operation_case": lambda model: [operation for bundle in model.bundles for operation in bundle.operations],
}
"""argument of a test -> what it is called with, once each, for one model"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Call a test once per case of every installed model."""
    for name in metafunc.fixturenames:
        if name in CASES:
            cases = [case for model in _models(metafunc.config) for case in CASES[name](model)]
            metafunc.parametrize(name, cases, ids=str, scope="session")


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Shrunk networks are slower with several threads than with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> Registry:
    """What is installed."""
    return _registry(pytestconfig)


@pytest.fixture(scope="session")
def models(pytestconfig: pytest.Config) -> list[ModelCase]:
    """The models that this run is about."""
    return _models(pytestconfig)


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """Trainings and bundles, each made once."""
    # With pytest-xdist every worker has a folder of its own inside one that belongs to the run.
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "bundles"
    shared.mkdir(exist_ok=True)
    return Workbench(tmp_path_factory.mktemp("conformance"), shared)


def _registry(config: pytest.Config) -> Registry:
    if REGISTRY not in config.stash:
        config.stash[REGISTRY] = discover(strict=False)
    return config.stash[REGISTRY]


def _models(config: pytest.Config) -> list[ModelCase]:
    if MODELS not in config.stash:
        config.stash[MODELS] = installed(_registry(config), asked_models(config))
    return config.stash[MODELS]
