"""Checkpoints of official implementations for tests: by recorded names and shapes, and by a format's own table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from i2i_registry import Model, OfficialFormat, TensorShapes
from i2i_registry.importing.naming import KeyReport, map_names, name_tensors, official_names, repair
from i2i_runtime import Record

C = TypeVar("C", bound=Record)


def recorded(file: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """What a file of facts holds: checkpoint -> names and shapes of the tensors of the official code's state dicts."""
    checkpoints = json.loads(file.read_text(encoding="utf-8"))["checkpoints"]
    return {name: {key: tuple(shape) for key, shape in shapes.items()} for name, shapes in checkpoints.items()}


def released(official: OfficialFormat[C], model_class: type[Model[C]], config: C) -> dict[str, tuple[int, ...]]:
    """What the release would save of the networks that we have: official name -> shape."""
    with torch.device("meta"):
        model = model_class(config)
    state = {f"{name}.{key}": t for name, network in model.networks.items() for key, t in network.state_dict().items()}
    names = official_names(official, config, state)
    return shapes_of(official.complete({names[key]: tensor for key, tensor in state.items()}, config))


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def filled(shapes: TensorShapes) -> dict[str, Tensor]:
    """The same random values in these shapes at every call."""
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def converted(official: OfficialFormat[C], model: Model[C], tensors: Mapping[str, Tensor]) -> KeyReport:
    """Fill a model with official tensors, as an import does, and say what became of each of them.

    Raises what `load_state_dict` raises when one of ours stays empty.
    """
    named = name_tensors(official, tensors)
    ours = {f"{name}.{key}": t for name, network in model.networks.items() for key, t in network.state_dict().items()}
    names = official_names(official, model.config, ours)
    repaired = repair(official, named, {names[key]: tuple(tensor.shape) for key, tensor in ours.items()})
    report = map_names(official, named, repaired, names)
    values = {named.in_files.get(name, name): tensor for name, tensor in repaired.items()}
    for name, network in model.networks.items():
        found = {
            to.removeprefix(f"{name}."): values[key] for key, to in report.used.items() if to.startswith(f"{name}.")
        }
        network.load_state_dict(found, strict=True)
    return report
