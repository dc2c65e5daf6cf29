"""Other values for a field of a Config or Options record, to see whether the field does anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic import ValidationError

from i2i_runtime.records import Record
from i2i_runtime.type_guards import is_tuple


def variants(record: Record, field: str) -> Iterator[Record]:
    """Valid records that differ from `record` in this field only, the likeliest to be usable first."""
    value: object = getattr(record, field)
    annotation = type(record).model_fields[field].annotation
    for other in (*_from_annotation(annotation), *_others(value)):
        if other == value:
            continue
        try:
            changed = type(record).model_validate({**_fields(record), field: other})
        except ValidationError:
            continue
        if getattr(changed, field) != value:
            yield changed


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).model_fields}


def _from_annotation(annotation: object) -> Iterator[object]:
    """The members of a Literal; members of a union one after the other."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
        return
    for member in get_args(annotation):
        if member is type(None):
            yield None
        elif get_origin(member) is Literal:
            yield from get_args(member)


def _others(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (2 * value, value + 1, value - 1, value // 2, value + 4, value + 8, 1, 0)
        case float():
            yield from (2 * value, value / 2, 0.5, value + 1.0, 0.0)
        case str():
            yield from (f"{value}x", f"other_{value}", "other")
        case None:
            yield from (1, 2, 4, 0.5, True, "other")
        case Record():
            for field in type(value).model_fields:
                yield from variants(value, field)
        case _ if is_tuple(value):
            yield from _other_tuples(value)
        case _:
            return


def _other_tuples(values: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    """One entry changed, the last one repeated, the last one left out."""
    for position, value in enumerate(values):
        for other in _others(value):
            yield (*values[:position], other, *values[position + 1 :])
    if values:
        yield (*values, values[-1])
        yield values[:-1]
