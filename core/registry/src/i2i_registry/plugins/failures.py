"""Why a plugin cannot be used, in words that help its author: which field of which card, in which line."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.cards import CommandCard, ExporterCard, ModelCard, WeightsCard
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.errors import nearest
from i2i_runtime.untrusted_text import printable

_RECORDS: Mapping[str, type[BaseModel]] = {
    record.__name__: record for record in (ModelCard, ExporterCard, CommandCard, WeightsCard, Paper, Licence)
}
_NOT_THEIRS = {
    "i2i_registry",
    "pluggy",
    "pydantic",
    "importlib",
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
}


def failure(distribution: str, entry_point: str, error: BaseException) -> PluginError:
    """Return what went wrong while a plugin was loaded.

    `entry_point` is "name = module", as its pyproject.toml has it.
    """
    if isinstance(error, ValidationError) and error.title in _RECORDS:
        return _card_failure(entry_point, error)
    if isinstance(error, PluginError):
        return PluginError(error.found, error.expected, error.fix or _reinstalling(distribution))
    if isinstance(error, ModuleNotFoundError):
        needed = f"install what it needs: pip install --upgrade --force-reinstall {distribution}"
        return PluginError(first_line(error), fix=needed)
    return PluginError(first_line(error), fix=_reinstalling(distribution))


def first_line(error: BaseException) -> str:
    """Return what an exception says in one line: its type and the first line of its message."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _reinstalling(distribution: str) -> str:
    return f"pip install --upgrade {distribution}, or pip uninstall {distribution}"


def _card_failure(entry_point: str, error: ValidationError) -> PluginError:
    """Every field that a card lacks, does not know, or has with a wrong value, and what each should be."""
    record = _RECORDS[error.title]
    problems = error.errors(include_url=False, include_context=False)
    return PluginError(
        found=f"its {error.title} {'; '.join(_found(problem) for problem in problems)}",
        expected="; ".join(_expected(record, problem) for problem in problems),
        fix=f"correct {error.title}(...) in {_line(error)}which the entry point {entry_point!r} leads to",
    )


def _found(problem: ErrorDetails) -> str:
    name = _name(problem)
    match problem["type"]:
        case "missing":
            return f"lacks the field {name!r}"
        case "extra_forbidden":
            return f"has a field {name!r}, which there is none of"
        case _:
            return f"has {name!r} = {printable(repr(problem['input']))}"


def _expected(record: type[BaseModel], problem: ErrorDetails) -> str:
    name = _name(problem)
    if problem["type"] == "extra_forbidden":
        return f"instead of {name!r} {nearest(name, record.model_fields)}"
    field = record.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    example = f"{name} = {_example(field)}" if field else name
    if problem["type"] == "missing":
        return example
    return f"{example}: {printable(problem['msg'].removeprefix('Value error, '))}"


def _name(problem: ErrorDetails) -> str:
    return printable(".".join(map(str, problem["loc"])))


def _example(field: FieldInfo) -> str:
    """Return what stands in a card for the field."""
    if field.examples:
        return str(field.examples[0])
    kind = field.annotation
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _line(error: ValidationError) -> str:
    """Return the line of the plugin's code that makes the card, with a comma; nothing where none does."""
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(part in _NOT_THEIRS for part in Path(frame.filename).parts)]
    return f"{own[-1].filename}, line {own[-1].lineno}, " if own else "the module "
