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
from i2i_runtime.kinds.columns import ArrayColumn, Column, vectors
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.records import Name

_EXAMPLE = "0-3=5,4-7=9"


class SlotsInput(RandomInput):
    """A latent for each slot: float32 [n, slots, dim]. N(0, 1) from the seed of the call, the same in all slots.

    "0-3=5,4-7=9" takes the latent of seed 5 in the slots 0 to 3 and that of seed 9 in 4 to 7; slots that are not named
    keep that of the call. Numbers are given as [dim] or [slots, dim], for all items or for each.
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
        if given is None or isinstance(given, str):
            chosen = self.seeds_of(given or "")
            rows = [self._mixed(gathering.drawn(index)[self.name], chosen) for index in range(gathering.count)]
        else:
            rows = self._given(given, gathering.count)
        return {self.name: ArrayColumn(rows)}

    def _mixed(self, own: NDArray[np.float32], seeds: Mapping[int, int]) -> NDArray[np.float32]:
        made = {seed: self._latent(seed) for seed in set(seeds.values())}
        return np.stack([made[seeds[slot]] if slot in seeds else own for slot in range(self.slots)])

    def _latent(self, seed: int) -> NDArray[np.float32]:
        return self.draw(np.random.Generator(np.random.PCG64(seed)), (self.dim,))

    def _given(self, given: Option, count: int) -> list[NDArray[np.float32]]:
        if np.shape(np.asarray(given))[-2:] == (self.slots, self.dim):
            return vectors(self.name, (self.slots, self.dim), given, count)
        each = vectors(self.name, (self.dim,), given, count, f", or [..., {self.slots}, {self.dim}]")
        return [np.broadcast_to(latent, (self.slots, self.dim)).copy() for latent in each]

    def seeds_of(self, text: str) -> dict[int, int]:
        """Slot -> seed of the latent in it, of "0-3=5,fine=9". Raises OptionError."""
        seeds: dict[int, int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            where, equals, seed = (word.strip() for word in part.partition("="))
            if not equals or not seed.isdecimal():
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
        if not all(end.isdecimal() for end in ends) or not int(ends[0]) <= int(ends[1]) < self.slots:
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
