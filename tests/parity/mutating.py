"""Breaking the code on purpose: what every recording of a kind has to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def always(_config: Mapping[str, object]) -> bool:
    """Whatever the options are."""
    return True


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way to break the code."""

    apply: Callable[[pytest.MonkeyPatch], None]
    kinds: tuple[str, ...]
    """of recordings that notice, as the adapter's `kind_of` names them: each file of them"""
    shows: Callable[[Mapping[str, object]], bool] = always
    """whether it matters with a recording's options, under the names of its metadata"""


def option(config: Mapping[str, object], name: str) -> object:
    """An option, wherever the release's options are; None where it is not named."""
    parts = config, config.get("resolved")
    return next((part[name] for part in parts if isinstance(part, Mapping) and name in part), None)


def above(name: str, bound: float, default: float) -> Callable[[Mapping[str, object]], bool]:
    """Whether a number among the options is larger than `bound`; `default` is the release's, where it is not named."""

    def shows(config: Mapping[str, object]) -> bool:
        value = option(config, name)
        return float(value if isinstance(value, (int, float)) else default) > bound

    return shows


def starts(name: str, start: str) -> Callable[[Mapping[str, object]], bool]:
    """Whether a word among the options begins so."""
    return lambda config: str(option(config, name)).startswith(start)
