"""Type guards for values of unknown content: what came from a file, or from a caller.

`isinstance(value, list)` leaves a type checker with a list of unknown things; these leave it with a list of objects.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeGuard


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    """Whether it is a dictionary, of whatever."""
    return isinstance(value, dict)


def is_json_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value that was parsed from JSON is an object; its keys are texts then."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether it is a list, of whatever."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    """Whether it is a tuple, of whatever."""
    return isinstance(value, tuple)


def is_list_or_tuple(value: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list or a tuple, of whatever; texts and arrays are neither."""
    return isinstance(value, (list, tuple))


def is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it names a file: a text, or an object that stands for a path."""
    return isinstance(value, (str, os.PathLike))


def is_text_or_texts(value: object) -> bool:
    """Whether it is a text, or a list or a tuple with a text in it."""
    return isinstance(value, str) or (is_list_or_tuple(value) and any(isinstance(each, str) for each in value))
