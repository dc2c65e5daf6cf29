"""What stands for the classes, functions and objects that a pickle names: names and records without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

from i2i_runtime.untrusted_text import printable


@dataclass(frozen=True, slots=True, eq=False)
class PlaceholderName:
    """A class or function that a file names. There is nothing behind it."""

    module: str
    name: str

    @property
    def type_name(self) -> str:
        """As the file names it: "package.module.Class"."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class PlaceholderObject:
    """What an object of a class we do not know left in a file: its arguments, state and items, without behaviour."""

    type_name: str
    """"package.module.Class", as the file names it"""
    args: tuple[object, ...] = ()
    """what it was called with, those with names last"""
    state: object = None
    """its attributes, mostly a dictionary"""
    items: dict[object, object] = field(default_factory=dict[object, object])
    """if it was a kind of dictionary"""
    values: list[object] = field(default_factory=list[object])
    """if it was a kind of list or set"""

    def __repr__(self) -> str:
        # Never what it holds: that may be large, or hold itself.
        return f"<{printable(self.type_name)}>"
