"""From what a person asks for to a run.json: presets, `--set`, and the defaults of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from i2i_registry.errors import UnknownName
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.config_values import with_values
from i2i_registry.plugins.discovery import Registry
from i2i_runtime.errors import UsageError
from i2i_toolkit.training.run_folder import RunRecord, TrainingSettings

_PARTS = ("i2i-runtime", "i2i-registry", "i2i-toolkit", "torch", "accelerate", "numpy", "pillow")


def new_record(
    registry: Registry,
    *,
    model: str,
    name: str,
    preset: str | None,
    values: Sequence[str],
    settings: TrainingSettings,
    data: Path,
    init: WeightsCard | None,
    command: str,
) -> RunRecord:
    """Return the run.json of a new run.

    `values` are "key=value", of the model's Config and the trainer's Options; what they leave open, and the data decide
    (`Trainer.config_for`), is read from the folder. Raises UnknownName for a model, preset or
    key that does not exist, OptionError for a value that does not fit.
    """
    model_class, trainer_class = registry.model_class(model), registry.trainer_class(model)
    preset = preset or next(iter(model_class.presets))
    if preset not in model_class.presets:
        raise UnknownName.among("preset", preset, model_class.presets)
    if init is not None and init.model != model:
        raise UsageError(
            found=f"{init.reference} are weights of {init.model!r}",
            expected=f"weights of {model!r} for --init",
            fix="`i2i-registry list` shows which weights belong to which model",
        )
    start = model_class.presets[preset] if init is None else model_class.Config.model_validate(init.config)
    config, options = with_values((start, trainer_class.presets.get(preset, trainer_class.Options())), values)
    if init is None:
        # Once more: what the data decide stands back behind what the user set.
        config, options = with_values((trainer_class.config_for(config, options, data), options), values)
    plugin = registry.sources[model]
    return RunRecord(
        name=name,
        model=model,
        preset=preset,
        config=config.model_dump(mode="json"),
        options=options.model_dump(mode="json"),
        settings=settings,
        data=str(data.resolve()),
        init="" if init is None else init.reference,
        init_sha256="" if init is None else init.sha256,
        command=command,
        versions={**{part: version(part) for part in _PARTS}, plugin.distribution: plugin.version},
    )
