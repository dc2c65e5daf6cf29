"""Who made a thing, and under which terms it may be used."""

from __future__ import annotations

from i2i_runtime.records import Record


class Licence(Record):
    """The terms of a thing: an SPDX expression, and whatever has to be said beside it."""

    spdx: str
    notes: str = ""
    non_commercial: bool = False


class Paper(Record):
    """The publication a model comes from."""

    title: str
    authors: str
    year: int
    arxiv: str = ""
    code: str = ""
    """Where the official implementation lives."""
