"""Values typed as `--set key=value`: what they may mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from i2i_registry.errors import UnknownName
from i2i_runtime.errors import OptionError
from i2i_runtime.records import Record


def with_values(records: tuple[Record, Record], values: Sequence[str]) -> tuple[Record, Record]:
    """Both records with the "key=value" each of them has a field for.

    Raises UnknownName for a key that neither has, OptionError for a value that does not fit its field, or fields whose
    values do not fit each other.
    """
    asked = _asked(values, [name for record in records for name in type(record).model_fields])
    first, second = (_changed(record, asked) for record in records)
    return first, second


def field_values(kind: type[Record], values: Sequence[str]) -> dict[str, object]:
    """Return what each "key=value" means for its field of a record of this kind, whatever the other fields hold.

    Raises UnknownName for a key that is no field, OptionError for a value that does not fit its field.
    """
    asked = _asked(values, list(kind.model_fields))
    return {key: _alone(kind, key, text) for key, text in asked.items()}


def _alone(kind: type[Record], key: str, text: str) -> object:
    adapter = TypeAdapter[object](kind.model_fields[key].rebuild_annotation())
    problems = ""
    for value in _readings(text):
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            problems = problems or "; ".join(_sentence(each["msg"]) for each in error.errors())
    raise OptionError(found=f"{key} = {text!r}: {problems}", expected=_in_words(kind, key), fix=f"--set {key}=VALUE")


def _asked(values: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    asked = dict(_pair(text) for text in values)
    for key in asked:
        if key not in fields:
            raise UnknownName.among("option", key, fields)
    return asked


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise OptionError(found=f"--set {text}", expected="--set key=value")
    return key.strip(), value.strip()


def _changed(record: Record, asked: Mapping[str, str]) -> Record:
    """`record` with all its values at once: one may fit only beside another."""
    kind = type(record)
    own = {key: text for key, text in asked.items() if key in kind.model_fields}
    values: dict[str, object] = record.model_dump(mode="json")
    for key, text in own.items():
        values[key] = _value(record, key, text, values)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _conflict(record, own, error) from error


def _value(record: Record, key: str, text: str, values: Mapping[str, object]) -> object:
    """Return what `text` means for the field `key`. Raises OptionError when it means nothing."""
    problems: list[str] = []
    for value in _readings(text):
        found = _problems(type(record), {**values, key: value}, key)
        if not found:
            return value
        problems = problems or found
    raise OptionError(
        found=f"{key} = {text!r}: {'; '.join(problems)}",
        expected=_in_words(type(record), key),
        fix=f"{as_set(record, [key])} is the value without",
    )


def _problems(kind: type[Record], values: Mapping[str, object], key: str) -> list[str]:
    """Return what is wrong with one field alone."""
    try:
        kind.model_validate(values)
    except ValidationError as error:
        return [_sentence(each["msg"]) for each in error.errors() if each["loc"][:1] == (key,)]
    return []


def _conflict(record: Record, own: Mapping[str, str], error: ValidationError) -> OptionError:
    """Return the error for values each of which fits its field."""
    problem = "; ".join(_sentence(each["msg"]) for each in error.errors())
    # A validator over several fields does not say which; its sentence names them.
    named = [name for name in type(record).model_fields if re.search(rf"\b{name}\b", problem)] or list(own)
    typed = [f"{key}={own[key]}" for key in named if key in own and f"{key}={own[key]}" not in problem]
    several = len(named) > 1
    return OptionError(
        found=": ".join(part for part in (", ".join(typed), problem) if part),
        expected=f"values of {' and '.join(named)} that go together" if several else f"another value of {named[0]}",
        fix=f"{as_set(record, named)} {'are the values' if several else 'is the value'} without",
    )


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")


def as_set(record: Record, keys: Sequence[str]) -> str:
    """Options for a shell that ask for what `record` holds in these fields."""
    return " ".join(f"--set {shlex.quote(text)}" for text in as_texts(record, keys))


def as_texts(record: Record, keys: Sequence[str]) -> list[str]:
    """Return the "key=value" that ask for what `record` holds in these fields."""
    values = record.model_dump(mode="json")
    return [f"{key}={values[key] if isinstance(values[key], str) else json.dumps(values[key])}" for key in keys]


def _readings(text: str) -> Iterator[object]:
    """Yield what a value typed on a command line may mean: itself, JSON, or a list with commas."""
    yield text
    try:
        yield json.loads(text)
    except ValueError:
        yield [part.strip() for part in text.split(",")]


# --- What a field takes, in words -------------------------------------------------------------------------------------

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "null": "null",
}


class _Schema(BaseModel):
    """What is told of a field's JSON schema."""

    type: str = ""
    enum: list[JsonValue] = []
    const: JsonValue = None
    any_of: list[_Schema] = Field(default=[], alias="anyOf")
    items_in_order: list[_Schema] = Field(default=[], alias="prefixItems")
    minimum: float | None = None
    exclusive_minimum: float | None = Field(default=None, alias="exclusiveMinimum")
    maximum: float | None = None
    exclusive_maximum: float | None = Field(default=None, alias="exclusiveMaximum")

    def describe(self) -> str:
        """Return the values it allows: "a number of at least 0 and below 1"."""
        if self.any_of:
            return " or ".join(each.describe() for each in self.any_of)
        if self.enum or self.const is not None:
            return "one of " + ", ".join(str(value) for value in self.enum or [self.const])
        if self.items_in_order:
            return f"{len(self.items_in_order)} values: " + ", ".join(each.describe() for each in self.items_in_order)
        bounds = {
            "of at least": self.minimum,
            "above": self.exclusive_minimum,
            "of at most": self.maximum,
            "below": self.exclusive_maximum,
        }
        limits = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
        return f"{_KINDS.get(self.type, 'a value of another kind')} {limits}".strip()


def _in_words(kind: type[Record], key: str) -> str:
    return _Schema.model_validate(kind.model_json_schema()["properties"][key]).describe()
