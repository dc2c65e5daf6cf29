"""From a run.json to the trainer it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import JsonValue, ValidationError

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.resolved_graphs import check_declarations
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.record_files import problems_in_words
from i2i_registry.weights import loading as weights
from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.records import Record
from i2i_toolkit.engine.state import OTHER_VERSION
from i2i_toolkit.seeds import derive, seed_everything
from i2i_toolkit.training.run_folder import RunRecord

R = TypeVar("R", bound=Record)


def build_trainer(record: RunRecord, catalogue: Catalogue) -> AnyTrainer:
    """Return the trainer that run.json describes, with freshly drawn networks, or those of the weights it starts from.

    Raises OptionError for a Config of which no export could be made, TrainingError where run.json has other options or
    another Config than the plugin that is installed.
    """
    registry = catalogue.registry
    model_class, trainer_class = registry.model_class(record.model), registry.trainer_class(record.model)
    seed_everything(derive(record.settings.seed, "networks"))
    model = model_class(_read(model_class.Config, record.config, "config"))
    check_declarations(model)
    trainer = trainer_class(model, _read(trainer_class.Options, record.options, "options"))
    _ = trainer.all_networks  # built now, while the generators are seeded
    if record.init:
        path = catalogue.path_of(catalogue.find(record.init))
        weights.load_into(model, path, record.init_sha256)
    return trainer


def _read(kind: type[R], values: Mapping[str, JsonValue], name: str) -> R:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise TrainingError(
            found=f"the {name} in run.json do not fit the installed plugin: {problems_in_words(error)}",
            expected=f"fields and values that it knows: {', '.join(kind.model_fields)}",
            fix=OTHER_VERSION,
        ) from error
