"""Short trainings by the real engine, described so that another process can repeat them exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from i2i_conformance.building import build, state
from i2i_conformance.cases import PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer, Trainer
from i2i_registry.plugins.discovery import import_class
from i2i_runtime.records import Record
from i2i_toolkit.engine.devices import open_accelerator
from i2i_toolkit.engine.loop import Engine
from i2i_toolkit.engine.reports import PhaseReport

Place = tuple[str, str]
"""(stage, phase)"""


def shrunk_options(trainer_class: type[AnyTrainer], preset: str) -> Record:
    """The Options of a preset, in a training that is as small as it gets."""
    options = trainer_class.presets.get(preset, trainer_class.Options())
    return trainer_class.Options.model_validate(options.model_dump() | dict(trainer_class.shrunk))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a training is a function of, in plain values that can be sent to another process."""

    model: str
    """ "module:Class" """
    trainer: str
    config: str
    """JSON"""
    options: str
    """JSON"""
    data: Path
    threads: int
    """of torch: sums are ordered by it"""

    @classmethod
    def of(cls, case: PresetCase, data: Path) -> Recipe:
        """The shrunk training of a preset. `data` is where its example data lies.

        Raises ConformanceError when the plugin has no trainer.
        """
        trainer_class, trainer = case.model.trainer_class, case.model.card.trainer
        if trainer_class is None or trainer is None:
            raise ConformanceError(f"{case.model} has no trainer", expected="a model that can be trained")
        options = shrunk_options(trainer_class, case.preset)
        return cls(
            model=case.model.card.model,
            trainer=trainer,
            config=case.config.model_dump_json(),
            options=options.model_dump_json(),
            data=data,
            threads=torch.get_num_threads(),
        )

    def with_options(self, options: Record) -> Recipe:
        """The same training with other options."""
        return replace(self, options=options.model_dump_json())

    def classes(self) -> tuple[type[Model[Record]], type[AnyTrainer]]:
        """The plugin's Model and Trainer."""
        return import_class(self.model, Model), import_class(self.trainer, Trainer)

    @promised("Trainer.networks")
    def build_trainer(self) -> AnyTrainer:
        """The trainer with the initial weights of the seed."""
        model_class, trainer_class = self.classes()
        model = build(model_class, model_class.Config.model_validate_json(self.config))
        trainer = trainer_class(model, trainer_class.Options.model_validate_json(self.options))
        _ = trainer.all_networks  # built now, while the generators are seeded
        return trainer

    def start(self) -> Engine:
        """An engine at the beginning of the training, on the CPU in fp32."""
        torch.set_num_threads(self.threads)
        trainer = self.build_trainer()
        return Engine(trainer, trainer.layout.open(self.data, 0), accelerator=open_accelerator("cpu"))


@dataclass(frozen=True, slots=True)
class Training:
    """What was seen of one training from its beginning to its end."""

    reports: tuple[PhaseReport, ...]
    gradients: Mapping[str, float | None]
    """ "<network>.<parameter>" -> largest absolute gradient over all phases that own it; None: no phase gave it one"""
    owned: frozenset[str]
    """parameters that an optimizer holds"""
    start: Mapping[str, Tensor]
    """ "<network>.<key>" -> tensor before the first step"""
    end: Mapping[str, Tensor]

    @property
    def phases(self) -> list[Place]:
        """Every (stage, phase) that ran, in order, each once."""
        return list(dict.fromkeys((report.stage, report.phase) for report in self.reports))


def train(recipe: Recipe) -> Training:
    """Run the whole training and watch the gradients."""
    engine = recipe.start()
    named = {
        f"{name}.{key}": parameter
        for name, network in engine.networks.modules.items()
        for key, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    gradients: dict[str, float | None] = dict.fromkeys(named)
    held = {
        id(parameter)
        for stage in engine.stages
        for phase in stage.phases
        for group in phase.optimizer.param_groups
        for parameter in group["params"]
    }
    start = copied(engine)
    reports: list[PhaseReport] = []
    for report in engine.phases():
        reports.append(report)
        for name, parameter in named.items():
            if parameter.grad is not None:
                gradients[name] = max(gradients[name] or 0.0, float(parameter.grad.abs().max()))
    owned = frozenset(name for name, parameter in named.items() if id(parameter) in held)
    return Training(tuple(reports), gradients, owned, start, copied(engine))


def two_steps(recipe: Recipe) -> tuple[list[Mapping[str, float]], dict[str, Tensor]]:
    """Losses and learning rates after each phase of the first two steps, and all tensors after the last."""
    engine = recipe.start()
    values: list[Mapping[str, float]] = []
    for report in engine.phases():
        values.append(report.values)
        if report.total_step == 2 and report.step_complete:
            break
    return values, copied(engine)


def copied(engine: Engine) -> dict[str, Tensor]:
    """All tensors of all networks and EMAs, as they are now."""
    tensors = {name: tensor.detach().clone() for name, tensor in state(engine.networks.modules).items()}
    for name, average in engine.ema.tensors.items():
        tensors |= {f"EMA of {name}.{key}": tensor.detach().clone() for key, tensor in average.items()}
    return tensors
