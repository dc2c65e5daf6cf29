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
from i2i_runtime.kinds.columns import ArrayColumn, Column, finite_numbers, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.records import Name
from i2i_runtime.type_guards import is_text_or_texts

_EXAMPLE = "0-3=5,4-7=9"
_DIGITS = 19
"""of a slot or a seed; so it is below 2**64"""


class SlotsInput(RandomInput):
    """A latent for each slot: float32 [n, slots, dim]. N(0, 1) from the seed of the call, the same in all slots.

    "0-3=5,4-7=9" takes in the slots 0 to 3 the latent of a call with seed 5, and in 4 to 7 that of one with seed 9;
    slots that are not named keep that of this call. A list of such texts is one for each item. Numbers for all items
    are [dim], the same in all slots, or [slots, dim]; for each item [n, 1, dim] or [n, slots, dim]. ([n, dim] would be
    taken for [slots, dim] in a call of as many items as slots, and is refused in every other.)
    """

    kind: Literal["slots"] = "slots"
    slots: Annotated[PositiveInt, Field(le=1000)]
    """layers that take a latent"""
    dim: Annotated[PositiveInt, Field(le=1 << 16)]
    ranges: Annotated[dict[Name, tuple[NonNegativeInt, NonNegativeInt]], Field(max_length=64)] = Field(
        default_factory=dict
    )
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
        if not is_text_or_texts(said):
            return {self.name: ArrayColumn(self._given(said, gathering.count))}
        mixes = made_once(gathering.one_each(self.name, said), self.seeds_of, str)
        return {self.name: ArrayColumn([self._mixed(gathering, index, seeds) for index, seeds in enumerate(mixes)])}

    def held(self, gathering: Gathering) -> Option:
        """Return the latents [slots, dim] of the first item."""
        return gathering.column(self.name, ArrayColumn).tensor(0)

    def _mixed(self, gathering: Gathering, index: int, seeds: Mapping[int, int]) -> NDArray[np.float32]:
        """Return the latents [slots, dim] of an item: in each slot that of its seed, else the item's own."""
        latents = {seed: gathering.drawn_with(seed, self.name, index) for seed in set(seeds.values())}
        own = gathering.drawn(index)[self.name]
        return np.stack([latents[seeds[slot]] if slot in seeds else own for slot in range(self.slots)])

    def _given(self, given: Option, count: int) -> list[NDArray[np.float32]]:
        each = {(self.dim,), (1, self.dim), (self.slots, self.dim)}
        expected = f"float [{self.dim}] or [{self.slots}, {self.dim}], or [{count}, {self.slots}, {self.dim}]: "
        shapes = each | {(count, 1, self.dim), (count, self.slots, self.dim)}
        array = finite_numbers(self.name, given, shapes, f"{expected}one for each item")
        rows = [array] * count if array.shape in each else list(array)
        return made_once(rows, lambda row: np.broadcast_to(row, (self.slots, self.dim)).copy())

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
        first, dash, last = (word.strip() for word in text.partition("-"))
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
        """Return the latent of the call in all slots, and that of another seed in the last."""
        del images
        return ("", f"{self.slots - 1}=1")


def _is_whole(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS
