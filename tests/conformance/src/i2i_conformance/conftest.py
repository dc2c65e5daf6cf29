"""Gives the tests of this package their cases, and what is expensive to make: trainings and bundles."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import cast

import pytest
import torch

from i2i_conformance.cases import ModelCase, OperationCase, installed
from i2i_conformance.workbench import Workbench
from i2i_registry.plugins.discovery import Registry, discover

REGISTRY = pytest.StashKey[Registry]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One parameter per installed model, preset and operation, whichever a test asks for."""
    models = _models(metafunc.config)
    presets = [preset for model in models for preset in model.presets]
    offered = {
        "model_case": models,
        "preset_case": presets,
        "operation_case": [operation for preset in presets for operation in preset.operations],
    }
    for name in metafunc.fixturenames:
        if name in offered:
            metafunc.parametrize(name, offered[name], ids=str, scope="session")


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Shrunk networks are slower with several threads than with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def offered(request: pytest.FixtureRequest) -> None:
    """Presets of one model may differ in what they can do."""
    if "operation_case" in request.fixturenames:
        case: OperationCase = request.getfixturevalue("operation_case")
        if not case.is_offered:
            pytest.skip(f"the preset {case.preset.preset!r} has no operation {case.name!r}")


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
    return installed(_registry(config), cast("list[str]", config.getoption("--i2i-model")))
