"""Several of a list of named labels, of which some exclude each other (StarGAN's attributes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from i2i_runtime.errors import OptionError, nearest
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, array_of, made_once, vectors
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.label import ClassNames
from i2i_runtime.type_guards import is_list_or_tuple

Group = Annotated[tuple[str, ...], Field(min_length=2)]
"""Labels of which an item has one at most: the colours of hair."""

_SEPARATOR = ","


class LabelsInput(InputKind):
    """Several of a list of labels: float32 [n, labels], 1 for those that an item has and 0 for the others.

    A caller names them: "blond_hair, male", "" for none of them; a list of such texts is one for each item. Or 0 and 1,
    or truth values, say it of every label: [labels] for all items, [n, labels] for each. A mapping of names is refused:
    of those that it leaves out nobody knows whether they are 0 or stay as they are.
    """

    kind: Literal["labels"] = "labels"
    names: ClassNames
    groups: tuple[Group, ...] = ()
    """of labels that exclude each other; a label is in one group at most"""
    default: str | None = None
    """what an item has when the caller says nothing; None makes the input required"""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (("names", self.names), ("groups", tuple(name for group in self.groups for name in group))):
            if len(set(names)) != len(names):
                raise ValueError(f"the {what} {names} repeat")
        unfit = [name for name in self.names if _SEPARATOR in name or name != name.strip() or not name]
        unknown = [name for group in self.groups for name in group if name not in self.names]
        if unfit:
            raise ValueError(f"{unfit[0]!r} cannot be told from others between commas")
        if unknown:
            raise ValueError(f"{unknown[0]!r} in a group is not one of {self.names}")
        try:
            self.chosen(self.default or "")
        except OptionError as error:
            raise ValueError(f"the default: {error.found}; {error.expected}") from error
        return self

    @property
    def is_required(self) -> bool:
        """Unless there is a default."""
        return self.default is None

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return a number for each label."""
        del inputs
        return {self.name: Form((BATCH, len(self.names)), "whole", 0, 1)}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """One set of labels for all items, or a list with one for each."""
        given = gathering.given(self.name)
        said = self.default if given is None else given
        if said is None:
            raise OptionError(found=f"{self.name!r} is missing", expected=f"some of: {', '.join(self.names)}")
        if _is_numbers(said):
            return {self.name: ArrayColumn(made_once(self._rows(said, gathering.count), self._checked))}
        return {self.name: ArrayColumn(made_once(gathering.one_each(self.name, said), self._named, str))}

    def _rows(self, given: Option, count: int) -> list[NDArray[np.float32]]:
        """Return the numbers of each item. Raises OptionError."""
        array = array_of(self.name, given, f"0 or 1 for each of {len(self.names)} labels")
        numbers = array.astype(np.float32) if array.dtype == np.bool_ else array
        return vectors(self.name, (len(self.names),), numbers, count)

    def _checked(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isin(row, (0, 1)).all():
            raise OptionError(found=f"{self.name} holds other numbers than 0 and 1", expected="1 for each label it has")
        self.chosen(_SEPARATOR.join(name for name, has in zip(self.names, row, strict=True) if has))
        return row

    def _named(self, said: object) -> NDArray[np.float32]:
        """Return the numbers of an item, float32 [labels], of what a caller said. Raises OptionError."""
        if not isinstance(said, str):
            raise OptionError(
                found=f"{self.name} is a {type(said).__name__}",
                expected=f'text, "{", ".join(self.names[:2])}", or 0 and 1 for each label',
            )
        chosen = self.chosen(said)
        return np.array([name in chosen for name in self.names], dtype=np.float32)

    def chosen(self, text: str) -> frozenset[str]:
        """Return the labels in a text. Raises OptionError for an unknown one, and for two that exclude each other."""
        names = [name.strip() for name in text.split(_SEPARATOR)] if text.strip() else []
        for name in names:
            if name not in self.names:
                raise OptionError(found=f"{self.name}={name!r}", expected=nearest(name, self.names))
        for group in self.groups:
            for one, other in combinations([name for name in group if name in names], 2):
                raise OptionError(found=f"{one!r} and {other!r}", expected=f"one of {', '.join(group)} at most")
        return frozenset(names)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a text of names with commas between them."""
        told = [f"of {', '.join(self.names)}", *(f"one of {', '.join(group)} at most" for group in self.groups)]
        told += [] if self.default is None else [f"default: {self.default or 'none'}"]
        summary = f"{self.summary} ({'; '.join(told)})".strip()
        read = self.from_text
        return (CommandOption(self.name, summary, "text", read, metavar="NAME,NAME,...", required=self.is_required),)

    def from_text(self, text: str) -> Option:
        """Return the text, whose names are checked. Raises OptionError."""
        self.chosen(text)
        return text

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return the default or the first label, then every other label alone."""
        del images
        usual = self.default or self.names[0]
        return (usual, *(name for name in self.names if name != usual))

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return every label alone, and none."""
        alone = np.vstack([np.eye(len(self.names)), np.zeros(len(self.names))]).astype(np.float32)
        return [np.broadcast_to(row, tensor.shape).copy() for row in alone]


def _is_numbers(said: object) -> bool:
    """Tell numbers, an array or a list of them, from names."""
    if is_list_or_tuple(said):
        return bool(said) and not any(isinstance(each, str) for each in said)
    return isinstance(said, np.ndarray)
