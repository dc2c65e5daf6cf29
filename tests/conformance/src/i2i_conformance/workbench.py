"""What is expensive to make and asked for by many tests: example data, trainings and bundles, each made once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from filelock import FileLock

import i2i_runtime
from i2i_conformance.building import stirred
from i2i_conformance.cases import PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.training import Recipe, Training, train
from i2i_registry.interfaces.cards import Trained, WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions
from i2i_registry.interfaces.model import Model
from i2i_registry.weights.loading import save
from i2i_runtime.attribution import Licence
from i2i_runtime.bundle import Bundle
from i2i_runtime.errors import I2IError
from i2i_runtime.records import Record

T = TypeVar("T")


@dataclass(frozen=True)
class Exported:
    """A shrunk model with stirred weights, and the bundle made of it."""

    model: Model[Record]
    weights: WeightsCard
    artefact: Path

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle, loaded on the CPU."""
        return i2i_runtime.load(self.artefact, device="cpu", threads=1)


class Workbench:
    """Makes each thing when it is first asked for; a failure is remembered as well.

    Args:
        folder: for this process alone.
        shared: for all processes of one test run (pytest-xdist); bundles are exported by the first that needs them.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder = folder
        self.shared = shared
        self._made: dict[tuple[str, str], object] = {}

    @promised("Trainer.Layout")
    def data(self, case: PresetCase) -> Path:
        """The example data of a preset's shrunk training."""
        return self._once("data", case, self._write_data)

    @promised("Trainer.shrunk")
    def recipe(self, case: PresetCase) -> Recipe:
        """The shrunk training of a preset."""
        return Recipe.of(case, self.data(case))

    @promised("Trainer.stages")
    def training(self, case: PresetCase) -> Training:
        """That training, run from beginning to end."""
        return self._once("training", case, lambda case: train(self.recipe(case)))

    @promised("Model.graphs")
    def exported(self, case: PresetCase) -> Exported:
        """The preset, shrunk, as an ONNX bundle."""
        return self._once("bundle", case, self._export)

    def _once(self, kind: str, case: PresetCase, make: Callable[[PresetCase], T]) -> T:
        key = (kind, str(case))
        if key not in self._made:
            try:
                self._made[key] = make(case)
            except (I2IError, ValueError, RuntimeError) as error:
                self._made[key] = error
        made = self._made[key]
        if isinstance(made, Exception):
            raise made
        return cast("T", made)

    def _write_data(self, case: PresetCase) -> Path:
        trainer_class = case.model.trainer_class
        if trainer_class is None:
            raise ConformanceError(f"{case.model} has no trainer", expected="a model that can be trained")
        root = self.folder / f"{case}-data"
        root.mkdir()
        Recipe.of(case, root).build_trainer().layout.write_example(root)
        return root

    def _export(self, case: PresetCase) -> Exported:
        model = stirred(case.build())
        file = self.folder / f"{case}.safetensors"
        save(model, file)
        weights = card_of(case, file)
        artefact = self.shared / f"{case}-onnx"
        with FileLock(self.shared / f"{case}-onnx.lock"):
            if not artefact.exists():
                exporter = case.model.registry.exporter("onnx")
                exporter.export(model, weights, artefact, ExportOptions(), _in_silence)
        return Exported(model, weights, artefact)


def card_of(case: PresetCase, file: Path) -> WeightsCard:
    """A card for weights that exist only for a test."""
    content = file.read_bytes()
    return WeightsCard(
        name="conformance",
        model=case.model.card.name,
        config=case.config.model_dump(mode="json"),
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="pytest --pyargs i2i_conformance", seed=0, steps=0),
        plugin=case.model.registry.sources[case.model.name].label,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


def _in_silence(_line: str) -> None:
    """Tests have no progress to tell."""
