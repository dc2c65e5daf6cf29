"""From what a person asks for to a run.json: presets, `--set`, and the defaults of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from i2i_registry.cards import WeightsCard
from i2i_registry.discovery import Registry
from i2i_registry.errors import UnknownName
from i2i_runtime.errors import OptionError, UsageError
from i2i_runtime.operations import Record
from i2i_toolkit.run_folder import RunRecord, Settings

_PARTS = ("i2i-runtime", "i2i-registry", "i2i-toolkit", "torch", "accelerate", "numpy", "pillow")


def new_record(
    registry: Registry,
    *,
    model: str,
    name: str,
    preset: str | None,
    values: Sequence[str],
    settings: Settings,
    data: Path,
    init: WeightsCard | None,
    command: str,
) -> RunRecord:
    """The run.json of a new run.

    `values` are "key=value", of the model's Config and the trainer's Options. Raises UnknownName for a model, preset or
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
    config = model_class.presets[preset] if init is None else model_class.Config.model_validate(init.config)
    plugin = registry.sources[model]
    config, options = with_values((config, trainer_class.Options()), values)
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


def with_values(records: tuple[Record, Record], values: Sequence[str]) -> tuple[Record, Record]:
    """Both records with the "key=value" each of them has a field for.

    Raises UnknownName for a key that neither has, OptionError for a value that does not fit.
    """
    asked = dict(_pair(text) for text in values)
    fields = [name for record in records for name in type(record).model_fields]
    for key in asked:
        if key not in fields:
            raise UnknownName.among("option", key, fields)
    first, second = (_changed(record, asked) for record in records)
    return first, second


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise OptionError(found=f"--set {text}", expected="--set key=value")
    return key.strip(), value.strip()


def _changed(record: Record, asked: Mapping[str, str]) -> Record:
    kind = type(record)
    for key, text in asked.items():
        if key in kind.model_fields:
            record = _with_value(record, key, text)
    return record


def _with_value(record: Record, key: str, text: str) -> Record:
    problem = ""
    for value in _readings(text):
        try:
            return type(record).model_validate({**record.model_dump(mode="json"), key: value})
        except ValidationError as error:
            problem = problem or "; ".join(each["msg"] for each in error.errors())
    raise OptionError(
        found=f"{key} = {text!r}: {problem}",
        expected=str(type(record).model_fields[key].annotation),
        fix=f"--set {key}={json.dumps(record.model_dump(mode='json')[key])} is what it is without",
    )


def _readings(text: str) -> Iterator[object]:
    """What a value typed on a command line may mean: itself, JSON, or a list with commas."""
    yield text
    try:
        yield json.loads(text)
    except ValueError:
        yield [part.strip() for part in text.split(",")]
