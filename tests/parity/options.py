"""The options that a recording's metadata names, and the account of which of them have been used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from pydantic import BaseModel, PrivateAttr


class Options(BaseModel, extra="allow"):
    """Options under the release's names: a subclass has a field for each that our code is given or compared with.

    Every reading of a field is noted. One that the metadata names and that nothing has read may change the result
    without our code knowing of it, so it is a miss unless it is declared irrelevant (`Recording.ignore`).
    """

    _read: set[str] = PrivateAttr(default_factory=set[str])

    def __getattribute__(self, name: str) -> object:
        if name in type(self).__pydantic_fields__:
            self._read.add(name)
        return super().__getattribute__(name)

    def unread(self, place: str = "") -> Iterator[str]:
        """Names of the options that were given and never read, those of parts with a point between."""
        for name in sorted(self.model_fields_set):
            if name not in self._read:
                yield place + name
                continue
            value = cast("object", self.__dict__[name])
            parts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            for part in parts:
                if isinstance(part, Options):
                    yield from part.unread(f"{place}{name}.")
