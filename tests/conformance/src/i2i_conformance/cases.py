"""What the suite runs over: every model, preset and operation of a registry, named without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points

from i2i_conformance.promises import promised
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.plugins.discovery import Registry
from i2i_registry.plugins.hooks import GROUP
from i2i_runtime.records import OperationName, Record
from i2i_runtime.schema.operations import Operation


@dataclass(frozen=True, eq=False)
class ModelCase:
    """One model of a registry."""

    registry: Registry
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def card(self) -> ModelCard:
        """Its card; light."""
        return self.registry.model_card(self.name)

    @property
    def model_class(self) -> type[Model[Record]]:
        """Its Model class; imports the plugin's code."""
        return self.registry.model_class(self.name)

    @property
    def trainer_class(self) -> type[AnyTrainer] | None:
        """Its Trainer class, None when the plugin cannot train."""
        return self.registry.trainer_class(self.name) if self.card.trainer else None

    @property
    def distribution(self) -> str:
        """The installed distribution that brings it."""
        return self.registry.sources[self.name].distribution

    @property
    def entry_module(self) -> str:
        """The module of the plugin's entry point, which has the hooks."""
        plugin = self.registry.sources[self.name]
        return next(
            point.module
            for point in entry_points(group=GROUP, name=plugin.name)
            if point.dist is not None and point.dist.name == plugin.distribution
        )

    @property
    def package(self) -> str:
        """The plugin's top-level package."""
        return self.card.model.partition(":")[0].partition(".")[0]

    def others(self) -> list[ModelCase]:
        """The other models of the registry."""
        return [ModelCase(self.registry, name) for name in self.registry.models if name != self.name]

    @property
    def presets(self) -> Sequence[PresetCase]:
        """One case per preset on the card."""
        return [PresetCase(self, preset) for preset in self.card.presets]

    @cached_property
    def configs(self) -> Sequence[PresetCase]:
        """One case per shrunk Config: presets that differ in size only are one when shrunk. Imports torch."""
        return _distinct(self.presets, lambda one, other: one.config == other.config)

    @cached_property
    def trainings(self) -> Sequence[PresetCase]:
        """One case per shrunk Config and Options of its training. Imports torch."""
        options = {} if self.trainer_class is None else self.trainer_class.presets
        return _distinct(
            self.presets,
            lambda one, other: (one.config, options.get(one.preset)) == (other.config, options.get(other.preset)),
        )

    @cached_property
    def bundles(self) -> Sequence[PresetCase]:
        """One case per bundle: of Configs that only a training tells apart, the first stands for all. Imports torch."""
        from i2i_conformance.checks.structure import computes_the_same  # noqa: PLC0415 - cases are listed without torch

        return _distinct(self.configs, lambda one, other: computes_the_same(one.build(), other.build()))


@dataclass(frozen=True, eq=False)
class PresetCase:
    """One preset of a model. What is built from it is shrunk unless it says `full`."""

    model: ModelCase
    preset: str

    def __str__(self) -> str:
        return f"{self.model}-{self.preset}"

    @property
    def full_config(self) -> Record:
        """The preset itself."""
        return self.model.model_class.presets[self.preset]

    @property
    def config(self) -> Record:
        """The same structure as small as it gets."""
        return self.model.model_class.shrunk(self.full_config)

    @promised("Model.shrunk")
    def build(self, seed: int = 0) -> Model[Record]:
        """The shrunk model with the initial weights of this seed."""
        from i2i_conformance.building import build  # noqa: PLC0415 - cases are listed without torch

        return build(self.model.model_class, self.config, seed)

    @promised("Model.networks")
    def build_on_meta(self) -> Model[Record]:
        """The model in full, its tensors without memory."""
        import torch  # noqa: PLC0415 - cases are listed without torch

        with torch.device("meta"):
            return self.model.model_class(self.full_config)

    @property
    def operations(self) -> Sequence[OperationCase]:
        """One case per operation on the card that the shrunk model has. Imports torch."""
        promised = self.model.card.operations
        try:
            known = {operation.name for operation in self.build().operations()}
        except Exception:  # anything, as this is the plugin's code; a test of the model says what
            known = set(promised)
        return [OperationCase(self, name) for name in promised if name in known]


@dataclass(frozen=True, eq=False)
class OperationCase:
    """One operation of a model at one preset."""

    preset: PresetCase
    name: OperationName

    def __str__(self) -> str:
        return f"{self.preset}-{self.name}"

    def of(self, model: Model[Record]) -> Operation:
        """The operation as `model` declares it."""
        return next(operation for operation in model.operations() if operation.name == self.name)


def installed(registry: Registry, only: Sequence[str] = ()) -> list[ModelCase]:
    """A case per model; `only` limits them. Raises UnknownName when there is no model of such a name."""
    names = [registry.model_card(name).name for name in only] or sorted(registry.models)
    return [ModelCase(registry, name) for name in names]


def _distinct(cases: Sequence[PresetCase], are_alike: Callable[[PresetCase, PresetCase], bool]) -> Sequence[PresetCase]:
    """The first of those that are alike; one that cannot be compared stands for itself, and its tests say why."""
    found: list[PresetCase] = []
    for case in cases:
        try:
            is_known = any(are_alike(one, case) for one in found)
        except Exception:  # anything, as this is the plugin's code
            is_known = False
        if not is_known:
            found.append(case)
    return found
