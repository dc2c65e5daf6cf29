"""One of several named classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from i2i_runtime.errors import OptionError, nearest
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form

ClassNames = Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(min_length=1, max_length=1000)]
"""Names of classes, in the order of their numbers."""


class LabelInput(InputKind):
    """One of several named classes: int64 [n], the index into `names`."""

    kind: Literal["label"] = "label"
    names: ClassNames
    default: str | None = None
    """The class taken when the caller names none; None makes the input required."""

    @model_validator(mode="after")
    def _default_is_a_name(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"the names {self.names} repeat")
        if self.default is not None and self.default not in self.names:
            raise ValueError(f"default {self.default!r} is not one of {self.names}")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Its names."""
        return self.names

    @property
    def is_required(self) -> bool:
        """Unless there is a default."""
        return self.default is None

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the number of the class."""
        del inputs
        return {self.name: Form((BATCH,), "index", 0, len(self.names) - 1)}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """One class for all items, or a list with one for each."""
        given = gathering.given(self.name)
        chosen = self.default if given is None else given
        if chosen is None:
            raise OptionError(found=f"{self.name!r} is missing", expected=f"one of: {', '.join(self.names)}")
        labels = gathering.one_each(self.name, chosen)
        indices = made_once(labels, self._index, str)
        return {self.name: LabelColumn(indices, [str(label) for label in labels])}

    def _index(self, label: object) -> NDArray[np.int64]:
        if label not in self.names:
            raise OptionError(found=f"{self.name}={label!r}", expected=nearest(str(label), self.names))
        return np.array(self.names.index(str(label)), dtype=np.int64)

    def command_options(self) -> tuple[CommandOption, ...]:
        """One of the names."""
        default = f"default: {self.default}" if self.default else "required"
        return (
            CommandOption(
                self.name,
                f"{self.summary} ({default})".strip(),
                "choice",
                read=one_of(self.name, self.names),
                metavar=f"[{'|'.join(self.names)}]",
                required=self.is_required,
            ),
        )

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Every class."""
        del images
        usual = self.default or self.names[0]
        return (usual, *(name for name in self.names if name != usual))

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Every class, for all items."""
        return [np.full_like(tensor, index) for index in range(len(self.names))]


def one_of(owner: str, names: Sequence[str]) -> Callable[[str], str]:
    """Return a check of a class name that was typed; a wrong one is answered with the nearest."""

    def read(text: str) -> str:
        if text not in names:
            raise OptionError(found=f"{owner}={text!r}", expected=nearest(text, names))
        return text

    return read


@dataclass(frozen=True, slots=True)
class LabelColumn(ArrayColumn):
    """Numbers of classes, and their names."""

    labels: Sequence[str]

    def choice(self, index: int) -> str | None:
        """Return the name."""
        return self.labels[index]
