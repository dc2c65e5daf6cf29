"""One latent for each layer of a network, several of them mixed by ranges of layers (StyleGAN, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, Inputs, Option, RandomInput
from i2i_runtime.kinds.columns import ArrayColumn, Column, array_of, made_once, vectors
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.records import Name

_EXAMPLE = "0-3=5,4-7=9"
_DIGITS = 19
"""of a slot or a seed; so it is below 2**64"""


class SlotsInput(RandomInput):
    """A latent for each slot: float32 [n, slots, dim]. N(0, 1) from the seed of the call, the same in all slots.

    "0-3=5,4-7=9" takes in the slots 0 to 3 the latent of a call with seed 5, and in 4 to 7 that of one with seed 9;
    slots that are not named keep that of this call. A list of such texts is one for each item. Numbers are given as
    [dim] or [slots, dim], for all items or for each.
    """

    kind: Literal["slots"] = "slots"
    slots: Annotated[PositiveInt, Field(le=1000)]
    """layers that take a latent"""
    dim: Annotated[PositiveInt, Field(le=1 << 16)]
    ranges: dict[Name, tuple[NonNegativeInt, NonNegativeInt]] = Field(default_factory=dict)
    """name -> first and last slot: "coarse", "middle", "fine" in the paper"""

    is_typed = True

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name, (first, last) in self.ranges.items():
            if not first <= last < self.slots:
                raise ValueError(f"{name!r} is the slots {first} to {last}; there are 0 to {self.slots - 1}")
        return self

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return a latent for each slot."""
        del inputs
        return {self.name: Form((BATCH, self.slots, self.dim), "normal")}

    def shape_of(self, gathering: Gathering, index: int) -> tuple[int, ...]:
        """Return that of one latent, which all slots share."""
        del gathering, index
        return (self.dim,)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Draw N(0, 1)."""
        return generator.standard_normal(shape, dtype=np.float32)

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Take what is given, or the latent of the call, with those of other seeds in its place."""
        given = gathering.given(self.name)
        said = "" if given is None else given
        texts = gathering.one_each(self.name, said) if _is_text(said) else None
        rows = self._given(said, gathering.count) if texts is None else self._mixed(gathering, texts)
        return {self.name: ArrayColumn(rows)}

    def _mixed(self, gathering: Gathering, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the latents [slots, dim] of each item, of which each slot takes that of its seed."""
        return [
            np.stack([gathering.drawn(index, seeds.get(slot))[self.name] for slot in range(self.slots)])
            for index, seeds in enumerate(made_once(texts, self.seeds_of, str))
        ]

    def _given(self, given: Option, count: int) -> list[NDArray[np.float32]]:
        all_slots = f", or [..., {self.slots}, {self.dim}]"
        if array_of(self.name, given, f"float {[self.dim]}{all_slots}").shape[-2:] == (self.slots, self.dim):
            return vectors(self.name, (self.slots, self.dim), given, count)
        each = vectors(self.name, (self.dim,), given, count, all_slots)
        return [np.broadcast_to(latent, (self.slots, self.dim)).copy() for latent in each]

    def seeds_of(self, text: object) -> dict[int, int]:
        """Slot -> seed of the latent in it, of "0-3=5,fine=9". Raises OptionError."""
        if not isinstance(text, str):
            raise OptionError(f"{self.name} is a {type(text).__name__}", expected=f'a text for each item, "{_EXAMPLE}"')
        seeds: dict[int, int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            where, equals, seed = (word.strip() for word in part.partition("="))
            if not equals or not _is_whole(seed):
                raise OptionError(found=f"{self.name}={part!r}", expected=f'slots and a seed, "{_EXAMPLE}"')
            first, last = self._range(where)
            taken = sorted(seeds.keys() & set(range(first, last + 1)))
            if taken:
                raise OptionError(found=f"slot {taken[0]} twice in {text!r}", expected="ranges that do not overlap")
            seeds.update(dict.fromkeys(range(first, last + 1), int(seed)))
        return seeds

    def _range(self, text: str) -> tuple[int, int]:
        if text in self.ranges:
            return self.ranges[text]
        first, dash, last = text.partition("-")
        ends = (first, last if dash else first)
        if not all(map(_is_whole, ends)) or not int(ends[0]) <= int(ends[1]) < self.slots:
            named = f", or {', '.join(self.ranges)}" if self.ranges else ""
            expected = f"within 0-{self.slots - 1}, the first one first{named}"
            raise OptionError(found=f"the slots {text!r} of {self.name}", expected=expected)
        return int(ends[0]), int(ends[1])

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return the mix, and the seed that all random inputs share."""
        named = f"; named: {', '.join(self.ranges)}" if self.ranges else ""
        help_ = f"{self.summary} (latents of other seeds in some of {self.slots} slots{named})".strip()
        return (CommandOption(self.name, help_, "text", self.from_text, "SLOTS=SEED,..."), *super().command_options())

    def from_text(self, text: str) -> Option:
        """Return the mix, which is checked. Raises OptionError."""
        self.seeds_of(text)
        return text

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return nothing: the runtime draws them."""
        del images
        return ()


def _is_text(value: object) -> bool:
    """Tell texts, one or a list of them, from numbers."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and any(isinstance(each, str) for each in value))


def _is_whole(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS
