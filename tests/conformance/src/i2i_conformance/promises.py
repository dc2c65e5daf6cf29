"""Which interface a check is about: a red test names it, and where the page for plugin authors explains it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

PAGE = "docs/plugin-author.md"

PROMISES: dict[str, str] = {}
"""name of a check with its module -> the interface"""

P = ParamSpec("P")
R = TypeVar("R")


def promised(interface: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Note on whatever the decorated function raises which `interface` is broken, and where its promise is written.

    Args:
        interface: as the page has it for a heading: "Model.graphs"
    """

    def decorate(check: Callable[P, R]) -> Callable[P, R]:
        @wraps(check)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return check(*args, **kwargs)
            except Exception as error:  # the plugin's own code may raise anything
                if not any(note.startswith("interface: ") for note in getattr(error, "__notes__", ())):
                    error.add_note(f"interface: {interface}, {PAGE}{anchor(interface)}")
                raise

        PROMISES[f"{check.__module__}.{check.__qualname__}"] = interface
        return checked

    return decorate


def anchor(heading: str) -> str:
    """The part of an address that leads to a heading, as GitHub makes it."""
    kept = (letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return "#" + "".join(kept).replace(" ", "-")
