"""Files that hold one record (a card, aliases, run.json): read within bounds, and what is wrong with them in words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from i2i_runtime.files.regular import read_regular
from i2i_runtime.untrusted_text import printable

T = TypeVar("T")

MOST_BYTES = 2 << 20
"""Largest file that is read: some hundred times the largest card that the project writes."""

_SHOWN = 3


class RecordError(Exception):
    """The file is no record of that kind; its text says why in words."""


def read_record(path: Path, kind: type[T], most_bytes: int = MOST_BYTES) -> T:
    """Return the record of `kind` that a JSON file holds.

    Raises FileNotFoundError, and RecordError for everything else: no regular file, too large, or not of that kind.
    """
    try:
        return TypeAdapter(kind).validate_json(read_regular(path, most_bytes))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(error.strerror or str(error)) from error
    except ValidationError as error:
        raise RecordError(problems_in_words(error)) from error


def problems_in_words(error: ValidationError) -> str:
    """Return the first problems, each with its field: "config.width: Field required; and 2 more"."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    sentences = [_sentence(problem["loc"], problem["msg"]) for problem in problems[:_SHOWN]]
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "; ".join([*sentences, *more])


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    words = printable(message.removeprefix("Value error, "))
    return f"{printable('.'.join(map(str, place)))}: {words}" if place else words
