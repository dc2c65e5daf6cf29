"""What a kind of input is: a record, and what is done with it, from the word of a caller to the tensor of a graph.

Whoever handles inputs (a call, a manifest, the command line, the exporter, the conformance suite) asks this interface,
and never which kind it has before it. A new kind is one module; docs/decisions/operations.md says what led here.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.errors import OptionError
from i2i_runtime.image.faces import Locate
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.columns import ArrayColumn, Column, vectors
from i2i_runtime.kinds.forms import Form
from i2i_runtime.records import Name, Record

Option: TypeAlias = (
    str
    | float
    | bytes
    | os.PathLike[str]
    | Image.Image
    | NDArray[np.generic]
    | Sequence[str]
    | Sequence[float]
    | Sequence[Sequence[float]]
    | Sequence[ImageSource | Sequence[ImageSource]]
    | None
)
"""A value for an input by name: a class, a number, a size, random numbers, or one more image (or a list of them).

Lists of sizes are for animations (`Bundle.frames`)."""

SEED = "seed"

Inputs: TypeAlias = "Mapping[str, InputKind]"
"""the inputs of an operation by name"""

K = TypeVar("K", bound="InputKind")
C = TypeVar("C", bound=Column)

KINDS: dict[str, type[InputKind]] = {}
"""kind -> its class, of all that are defined; a manifest with another one is refused"""


@dataclass(frozen=True, slots=True)
class CommandOption:
    """An option of a command line."""

    name: str
    """as a call takes it"""
    help: str
    takes: Literal["text", "choice", "path", "number", "whole"] = "text"
    read: Callable[[str], Option] = str
    """from a text to what a call takes; raises OptionError"""
    metavar: str | None = None
    default: float | None = None
    """of a number"""
    limits: tuple[float | None, float | None] = (None, None)
    """of a number: the least and the most"""
    required: bool = False


class InputKind(Record):
    """One input of an operation. A kind derives it with a field `kind: Literal["..."]`: so manifests call it."""

    name: Name
    summary: str = ""

    is_typed: ClassVar[bool] = True
    """whether people can type a value (`from_text`)"""
    shows: ClassVar[Literal["image", "images"] | None] = None
    """what of it shows people the look of a result: one image, several that count together, or nothing"""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Make the kind known to manifests."""
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" in cls.model_fields:
            KINDS[cls.noun()] = cls

    @classmethod
    def noun(cls) -> str:
        """Return what manifests call the kind."""
        return str(cls.model_fields["kind"].default)

    # --- What it is to graphs -------------------------------------------------------------------------------------

    @abstractmethod
    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the tensors that it gives to graphs, beside these other inputs: name of the value -> form."""

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Names of the other inputs that its value is made from."""
        del inputs
        return frozenset()

    def check(self, inputs: Inputs) -> None:
        """Raise ValueError when it does not go together with the other inputs of its operation."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of which it chooses one, so that steps may depend on it; of other kinds none."""
        return ()

    # --- What a caller gives --------------------------------------------------------------------------------------

    @property
    def option_names(self) -> tuple[str, ...]:
        """The names under which a call takes it."""
        return (self.name,)

    @property
    def is_required(self) -> bool:
        """Whether a call has to give it."""
        return False

    @abstractmethod
    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Return the column of each of its forms, from what the caller gave, which is checked here.

        Raises OptionError or ImageError.
        """

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return what a command line offers for it."""
        return (CommandOption(self.name, self.summary, required=self.is_required),)

    def from_text(self, text: str) -> Option:
        """Return what a person typed for it, as a call takes it. Raises OptionError."""
        return text

    # --- What tests, the exporter and the measure of memory try ---------------------------------------------------

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Values worth trying beside these images of the call, the usual one first; none: the runtime makes it."""
        del images
        return ()

    def others(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return other tensors of its shape and type; a model whose output none of them changes ignores the input."""
        return [each for each in self.alternatives(tensor) if not np.array_equal(each, tensor)]

    def alternatives(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Return tensors [n, ...] that an input of this kind may be, beside this one or equal to it."""
        return [np.flip(tensor, 0).copy(), np.multiply(tensor, 0.5).astype(tensor.dtype)]


class RandomInput(InputKind):
    """Numbers that are drawn from the seed of the call where the caller gives none."""

    is_typed: ClassVar[bool] = False

    @property
    def is_drawn(self) -> bool:
        """Whether another seed gives other numbers."""
        return True

    @abstractmethod
    def shape_of(self, gathering: Gathering, index: int) -> tuple[int, ...]:
        """Return the shape of an item's numbers."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Numbers of this shape."""

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Given, one array for all items or one for each; else drawn."""
        return {self.name: ArrayColumn([self._value(gathering, index) for index in range(gathering.count)])}

    def held(self, gathering: Gathering) -> Option:
        """Return what gives every item of a call the numbers that the first item has here."""
        return self._value(gathering, 0)

    def others(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        """Tensors [n, ...] of other numbers, also where these are zeros."""
        return [*super().others(tensor), np.add(tensor, 1).astype(tensor.dtype)]

    def _value(self, gathering: Gathering, index: int) -> NDArray[np.float32]:
        given = gathering.given(self.name)
        if given is None:
            return gathering.drawn(index)[self.name]
        shape = self.shape_of(gathering, index)
        return gathering.vectors(self.name, shape)[index]

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return the seed, which all random inputs share."""
        return (CommandOption(SEED, "Same seed, same image.", "whole", int, limits=(0, None)),)

    def from_text(self, text: str) -> Option:
        """Nobody types random numbers: raises OptionError."""
        raise OptionError(found=f"{self.name}={text!r}, which is random", expected="a seed instead")


@dataclass(slots=True)
class Gathering:
    """The values of a call: what the caller gave for each input, checked and made when they are asked for, once.

    Item i of a call with seed s is drawn with seed s + i: so a batch, its parts, and single calls agree.
    """

    inputs: Sequence[InputKind]
    count: int
    """items"""
    options: Mapping[str, Option]
    """by name; the main image is among them, as a list"""
    seed: int = 0
    """of the first item"""
    fit: Fit | None = None
    locate: Locate | None = None
    """finds faces; without it, where a call is only checked, images are taken as they are"""
    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    """those that are made"""
    _drawn: dict[int, Mapping[str, NDArray[np.float32]]] = field(
        default_factory=dict[int, Mapping[str, NDArray[np.float32]]]
    )
    _vectors: dict[tuple[str, tuple[int, ...]], list[NDArray[np.float32]]] = field(
        default_factory=dict[tuple[str, tuple[int, ...]], list[NDArray[np.float32]]]
    )

    def of(self, kind: type[K]) -> list[K]:
        """Return the inputs of a kind."""
        return [value for value in self.inputs if isinstance(value, kind)]

    def column(self, name: str, kind: type[C]) -> C:
        """Return the column of a value, which is of this class."""
        if name not in self.columns:
            self.collect(next(value for value in self.inputs if name in self._values_of(value)))
        column = self.columns[name]
        if not isinstance(column, kind):
            raise TypeError(f"{name!r} is a {type(column).__name__}, no {kind.__name__}")
        return column

    def _values_of(self, value: InputKind) -> set[str]:
        return {value.name, *value.forms({each.name: each for each in self.inputs})}

    def collect(self, value: InputKind) -> None:
        """Make the columns of an input, unless they are there."""
        if value.name not in self.columns:
            self.columns.update(value.collect(self))

    def extents(self) -> set[tuple[int, int]]:
        """Height and width of all that has two sides, of what is made."""
        found = {column.extent(index) for column in self.columns.values() for index in range(self.count)}
        return {extent for extent in found if extent}

    def given(self, name: str) -> Option:
        """Return what the caller gave, None for nothing."""
        return self.options.get(name)

    def one_each(self, name: str, given: Option, what: str = "values", of_each: str = "") -> list[Any]:
        """One value for all items, or a list with one for each. Raises OptionError for a list of another length."""
        if not isinstance(given, (list, tuple)):
            return [given] * self.count
        if len(given) != self.count:
            raise OptionError(f"{len(given)} {what} for {name!r}", expected=f"one, or {self.count}{of_each}")
        return list(given)

    def vectors(self, name: str, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
        """Return the numbers that were given for an input, read once for each shape."""
        if (name, shape) not in self._vectors:
            self._vectors[name, shape] = vectors(name, shape, self.given(name), self.count)
        return self._vectors[name, shape]

    def drawn(self, index: int) -> Mapping[str, NDArray[np.float32]]:
        """Return the random numbers of an item: NumPy's PCG64 started with its seed, inputs in their declared order.

        Giving one of them explicitly does not change the others.
        """
        if index not in self._drawn:
            self._drawn[index] = dict(self._draws(index, self.seed + index))
        return self._drawn[index]

    def drawn_with(self, seed: int, name: str, index: int) -> NDArray[np.float32]:
        """Return the numbers that the random input `name` has in the first item of a call with this seed.

        They have the shapes of this item, and are not kept.
        """
        return next(numbers for drawn, numbers in self._draws(index, seed) if drawn == name)

    def _draws(self, index: int, seed: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        generator = np.random.Generator(np.random.PCG64(seed))
        for value in self.of(RandomInput):
            yield value.name, value.draw(generator, value.shape_of(self, index))
