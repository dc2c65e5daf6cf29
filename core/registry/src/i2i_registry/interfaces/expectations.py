"""What to expect of a preset: scores that are published, how long a training takes and where, and its command."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import PositiveFloat, PositiveInt

from i2i_runtime.records import Record

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class PaperScore(Record):
    """A figure that somebody published of this model; not measured here."""

    metric: str
    value: float
    spread: float | None = None
    """standard deviation, where it is published"""
    data: str
    """the data set, and the size of its images"""
    source: str
    """where it is published"""

    def sentence(self) -> str:
        """One line for people: "FID 16.18 +- 0.15 on AFHQ, 256 pixels (README of the release)"."""
        spread = "" if self.spread is None else f" +- {self.spread:g}"
        return f"{self.metric} {self.value:g}{spread} on {self.data} ({self.source})"


class TrainingTime(Record):
    """How long a training takes on one machine: measured as a whole, or counted from steps that were measured."""

    seconds: PositiveInt
    machine: str
    step_seconds: PositiveFloat | None = None
    """of a measured step, where the whole is counted from it; None where the whole was measured"""

    def sentence(self) -> str:
        """One line for people: "39 minutes, measured on one CPU thread (x86_64)"."""
        counted = "" if self.step_seconds is None else f"counted from steps of {self.step_seconds:g} s "
        return f"{duration_in_words(self.seconds)}, {counted}measured on {self.machine}"


class PresetExpectation(Record):
    """What to expect of a preset, as far as it is known."""

    scores: tuple[PaperScore, ...] = ()
    command: str
    """that trains it, for the time below"""
    time: TrainingTime | None = None

    def lines(self) -> Iterator[str]:
        """For people, a line for each score, the command and its time."""
        yield from (f"score: {score.sentence()}" for score in self.scores)
        yield f"train: {self.command}"
        if self.time:
            yield f"time:  {self.time.sentence()}"


def duration_in_words(seconds: int) -> str:
    """In the unit that makes a small number: "39 minutes"."""
    if seconds < 2 * _HOUR:
        return f"{round(seconds / _MINUTE)} minutes"
    return f"{round(seconds / _HOUR)} hours" if seconds < 3 * _DAY else f"{round(seconds / _DAY)} days"
