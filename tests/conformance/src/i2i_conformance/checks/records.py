"""Config and Options are data: immutable, strict, describable, and they survive a trip through JSON."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_runtime.records import Record


@promised("Record")
def check_record(record: Record) -> None:
    """One Config or Options value obeys the rules for both."""
    kind = type(record)
    _check_strict(kind)
    _check_frozen(record)
    try:
        kind.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise ConformanceError(
            found=f"{kind.__qualname__} has no JSON schema: {error}",
            expected="fields that forms and command lines can be made of",
            fix="use numbers, strings, booleans, tuples, Literals and nested Records",
        ) from error
    again = kind.model_validate_json(record.model_dump_json())
    if again != record:
        raise ConformanceError(
            found=f"{record!r} becomes {again!r} through JSON",
            expected="the same value: weights cards and run.json keep it so",
            fix="use field types that JSON can carry",
        )


@promised("Record")
def check_default(kind: type[Record]) -> None:
    """`Config()` and `Options()` work: every field has the paper's value as its default."""
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    if required:
        raise ConformanceError(
            found=f"{kind.__qualname__} has no default for {', '.join(required)}",
            expected="the paper's value as the default of every field",
            fix=f"{required[0]}: ... = the paper's value",
        )


@promised("Trainer.Options")
def check_names_differ(model_class: type[Model[Record]], trainer_class: type[AnyTrainer]) -> None:
    """No field is in both Config and Options: `--set name=value` looks in both."""
    both = sorted(set(model_class.Config.model_fields) & set(trainer_class.Options.model_fields))
    if both:
        raise ConformanceError(
            found=f"Config and Options of {model_class.name!r} both have {', '.join(both)}",
            expected="names that say which of the two is meant in `--set name=value`",
            fix=f"keep {both[0]!r} in Config when weights depend on it, in Options when only training does",
        )


def _check_strict(kind: type[Record]) -> None:
    try:
        kind.model_validate({"no_such_field_": 1})
    except ValidationError as error:
        if any(problem["type"] == "extra_forbidden" for problem in error.errors()):
            return
    raise ConformanceError(
        found=f"{kind.__qualname__} accepts an unknown field",
        expected="an error, so that a misspelt option cannot be ignored",
        fix='derive from i2i_runtime.schema.operations.Record, or set extra="forbid"',
    )


def _check_frozen(record: Record) -> None:
    for name in type(record).model_fields:
        try:
            setattr(record, name, getattr(record, name))
        except ValidationError:
            continue
        raise ConformanceError(
            found=f"{type(record).__qualname__}.{name} can be assigned",
            expected="a frozen record",
            fix="derive from i2i_runtime.schema.operations.Record, or set frozen=True",
        )
