"""`--set key=value`: what a text may mean, and what is said of one that means nothing."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, PositiveInt, model_validator

from i2i_registry.errors import UnknownName
from i2i_registry.interfaces.config_values import with_values
from i2i_runtime.errors import OptionError
from i2i_runtime.records import Record


class Size(Record):
    channels: int = 4
    names: tuple[str, str] = ("A", "B")


class Schedule(Record):
    rate: float = 0.1
    flip: bool = True


def test_values_reach_the_record_that_has_the_field() -> None:
    size, schedule = with_values((Size(), Schedule()), ["channels=8", "names=cat,dog", "rate=1e-3", "flip=false"])

    assert size == Size(channels=8, names=("cat", "dog"))
    assert schedule == Schedule(rate=1e-3, flip=False)


def test_an_unknown_field_and_a_value_that_does_not_fit_are_told_apart() -> None:
    with pytest.raises(UnknownName, match="did you mean 'channels'"):
        with_values((Size(), Schedule()), ["channel=8"])
    with pytest.raises(OptionError, match="flip = 'perhaps'"):
        with_values((Size(), Schedule()), ["flip=perhaps"])


class Timetable(Record):
    steps: PositiveInt = 8
    pause: int = 4
    kind: Literal["slow", "fast"] = "slow"
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    ends: tuple[PositiveInt, PositiveInt] | None = None

    @model_validator(mode="after")
    def _pause_is_shorter(self) -> Self:
        if self.pause > self.steps:
            raise ValueError(f"pause={self.pause} is longer than steps={self.steps}")
        return self


def test_values_that_fit_each_other_are_taken_in_any_order() -> None:
    for values in (["steps=2", "pause=1"], ["pause=10", "steps=20"]):
        timetable, _ = with_values((Timetable(), Size()), values)
        assert f"steps={timetable.model_dump()['steps']}" in values


def test_values_that_do_not_go_together_are_named_with_what_they_are_without() -> None:
    with pytest.raises(OptionError) as caught:
        with_values((Timetable(), Size()), ["steps=2", "kind=fast"])

    assert caught.value.found == "pause=4 is longer than steps=2"
    assert caught.value.expected == "values of steps and pause that go together"
    assert caught.value.fix == "--set steps=8 --set pause=4 are the values without"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("steps=0", "a whole number above 0"),
        ("kind=medium", "one of slow, fast"),
        ("share=1", "a number of at least 0 and below 1"),
        ("ends=1", "2 values: a whole number above 0, a whole number above 0 or null"),
    ],
)
def test_what_a_field_takes_is_told_in_words(value: str, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        with_values((Timetable(), Size()), [value])
    assert caught.value.expected == expected
    assert "Value error" not in caught.value.found


def test_what_is_advised_is_one_word_for_a_shell() -> None:
    with pytest.raises(OptionError) as caught:
        with_values((Size(), Schedule()), ["names=1"])
    assert shlex.split(caught.value.fix)[:2] == ["--set", 'names=["A", "B"]']
