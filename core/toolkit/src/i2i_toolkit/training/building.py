"""From a run.json to the trainer it describes."""

from __future__ import annotations

from i2i_registry.interfaces.declarations import check_declarations
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.weights import loading as weights
from i2i_registry.weights.catalogue import Catalogue
from i2i_toolkit.seeds import derive, seed_everything
from i2i_toolkit.training.run_folder import RunRecord


def build_trainer(record: RunRecord, catalogue: Catalogue) -> AnyTrainer:
    """Return the trainer that run.json describes, with freshly drawn networks, or those of the weights it starts from.

    Raises OptionError for a Config of which no export could be made.
    """
    registry = catalogue.registry
    model_class, trainer_class = registry.model_class(record.model), registry.trainer_class(record.model)
    seed_everything(derive(record.settings.seed, "networks"))
    model = model_class(model_class.Config.model_validate(record.config))
    check_declarations(model)
    trainer = trainer_class(model, trainer_class.Options.model_validate(record.options))
    _ = trainer.all_networks  # built now, while the generators are seeded
    if record.init:
        path = catalogue.path_of(catalogue.find(record.init))
        weights.load_into(model, path, record.init_sha256)
    return trainer
