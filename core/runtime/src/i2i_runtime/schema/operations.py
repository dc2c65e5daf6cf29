"""What a model can do, as data: an operation, its inputs and outputs, and the graph calls that compute it.

Command-line options, the exporter's graph wiring, the conformance tests and `bundle.translate(...)` are all derived
from these records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, NonNegativeFloat, SerializeAsAny, model_validator

from i2i_runtime.kinds.base import KINDS, InputKind
from i2i_runtime.kinds.forms import Form
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import check_numbers
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.kinds.slots import SlotsInput
from i2i_runtime.records import Channels, Name, Number, OperationName, Range, Record

MAX_BRANCHES = 256
"""Combinations of labels that choose between steps: the product of their numbers of classes."""

MAX_PARTS = 256
"""Inputs, outputs or steps of one operation."""

K = TypeVar("K", bound=InputKind)


def _of_its_kind(value: object) -> object:
    """Return the record of an input, of the kind that a manifest names."""
    if not isinstance(value, Mapping):
        return value
    fields: Mapping[str, object] = {str(key): each for key, each in value.items()}
    kind = KINDS.get(str(fields.get("kind")))
    if kind is None:
        raise ValueError(f"an input of the kind {fields.get('kind')!r}; this version knows {', '.join(sorted(KINDS))}")
    return kind.model_validate(fields)


Input = Annotated[SerializeAsAny[InputKind], BeforeValidator(_of_its_kind)]
"""An input of any kind that is known (`i2i_runtime.kinds`)."""


class ImageOutput(Record):
    """An image: float [n, channels, height, width] in `value_range`."""

    kind: Literal["image"] = "image"
    name: Name
    summary: str = ""
    channels: Channels | None = None
    """None: 1, 3 or 4, which image files hold; other numbers are saved as .tif or .npy, and have to be said"""
    value_range: Range = (-1.0, 1.0)


class HeatmapOutput(Record):
    """A non-negative map [n, 1, h, w], usually coarser than the image; people see it scaled and coloured."""

    kind: Literal["heatmap"] = "heatmap"
    name: Name
    summary: str = ""


class VectorOutput(Record):
    """Plain numbers [n, ...], handed on as they are: a code, logits."""

    kind: Literal["vector"] = "vector"
    name: Name
    summary: str = ""


Output = Annotated[ImageOutput | HeatmapOutput | VectorOutput, Field(discriminator="kind")]


class GraphCall(Record):
    """One call of one graph. Values are passed by name: the operation's inputs, then the outputs of earlier steps."""

    graph: Name
    inputs: Annotated[dict[Name, Name], Field(min_length=1, max_length=MAX_PARTS)]
    """graph input -> value that is fed to it"""
    constants: Annotated[dict[Name, Number], Field(max_length=MAX_PARTS)] = Field(default_factory=dict)
    """graph input -> number that is fed to it, float32 [n]: what this operation does not leave open"""
    outputs: dict[Name, Name]
    """graph output -> name of the value it becomes; graph outputs that are not named here are not computed"""
    when: dict[Name, str] = Field(default_factory=dict)
    """label input -> class for which the step runs; empty: always. Lets one operation own a graph per direction."""


class Interpolation(Record):
    """How one result turns into another, frame by frame: a vector, or the size, goes from one value to the other."""

    value: Name
    """a latent or slots input, a vector output that one step makes and another takes, or "size" """
    along: Literal["line", "arc"] = "line"
    """arc: on the sphere that latents of a normal distribution lie near (slerp); line: straight through (lerp)"""


class Walk(Record):
    """A random walk in noise space, held near the noise that gives the training image (SinGAN, supplement).

    With stored noise Z and fresh n, n', the maps are u_1 = (1 - first) Z + first n, u_0 = Z, and in every frame
    d = inertia (u_t - u_(t-1)) + (1 - inertia) n',  u_(t+1) = pull Z + (1 - pull) (u_t + d).
    All of them are c Z + m: the runtime feeds c as `anchor` and m as the noise maps; the graph knows Z.
    """

    anchor: Name
    """number input: how much of the stored noise is added to the maps"""
    pull: Name
    """number input: alpha, 0 to 1"""
    inertia: Name
    """number input: beta, 0 to 1"""
    first: Annotated[NonNegativeFloat, Field(le=1e6)]
    """share of fresh noise in the first map"""


RESERVED_NAMES = frozenset({"self", "operation", "x", "outputs", "seed", "fit", "batch_size", "count", "to", "scale"})
"""Arguments that every call of an operation has; no input may take one of these names."""


class Operation(Record):
    """One thing a model does. The first image output is what `bundle.<name>(...)` returns."""

    name: OperationName
    summary: str = ""
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=MAX_PARTS)]
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=MAX_PARTS)]
    steps: Annotated[tuple[GraphCall, ...], Field(min_length=1, max_length=MAX_PARTS)]
    interpolation: Interpolation | None = None
    """what `frames` interpolates; None: the paper has no such thing"""
    walk: Walk | None = None
    """how `frames` wanders; such an operation has no `interpolation`"""

    @model_validator(mode="after")
    def _wired(self) -> Self:
        # An output may carry the name of an input (image -> image), but not of another output.
        for values in (self.inputs, self.outputs):
            repeated = sorted(name for name, count in Counter(value.name for value in values).items() if count > 1)
            if repeated:
                raise ValueError(f"{self.name}: names repeat: {repeated}")
        taken = sorted(RESERVED_NAMES & {value.name for value in self.inputs})
        if taken:
            raise ValueError(f"{self.name}: an input may not be called {taken}: every call has that argument")
        self._check_relations()
        for choice in self.branches():
            self._check_branch(choice)
        self._check_animation()
        return self

    def of(self, kind: type[K]) -> list[K]:
        """Return the inputs of a kind, in their order."""
        return [value for value in self.inputs if isinstance(value, kind)]

    @cached_property
    def main_image(self) -> ImageInput | None:
        """The image that the operation works on, its first; None for operations that start from nothing."""
        return next(iter(self.of(ImageInput)), None)

    @cached_property
    def size(self) -> SizeInput | None:
        """The input that says how large the result is to be, if a caller may choose."""
        return next(iter(self.of(SizeInput)), None)

    @cached_property
    def free_inputs(self) -> list[InputKind]:
        """The inputs that a caller gives by name: all but the main image."""
        main = self.main_image
        return [value for value in self.inputs if value is not main]

    @cached_property
    def named(self) -> dict[str, InputKind]:
        """The inputs by name."""
        return {value.name: value for value in self.inputs}

    @cached_property
    def forms(self) -> dict[str, Form]:
        """The values that graphs may take, which callers bring or the runtime makes before the first step."""
        return {name: form for value in self.inputs for name, form in value.forms(self.named).items()}

    @cached_property
    def intermediates(self) -> frozenset[str]:
        """Vector outputs that one step makes and another takes: a caller who has such a vector may give it instead."""
        taken = {value for step in self.steps for value in step.inputs.values()}
        vectors = {value.name for value in self.outputs if isinstance(value, VectorOutput)}
        return frozenset(taken & vectors - self.named.keys())

    def branches(self) -> Iterator[dict[str, str]]:
        """Every combination of the labels that steps depend on, as {label input: class}; at most MAX_BRANCHES."""
        classes = {value.name: value.classes for value in self.inputs if value.classes}
        used = sorted({name for step in self.steps for name in step.when})
        for name in used:
            if name not in classes:
                raise ValueError(f"{self.name}: a step depends on {name!r}, which is no label input")
        count = prod(len(classes[name]) for name in used)
        if count > MAX_BRANCHES:
            raise ValueError(f"{self.name}: steps depend on {count:.3g} combinations of labels, at most {MAX_BRANCHES}")
        choices: list[dict[str, str]] = [{}]
        for name in used:
            choices = [{**choice, name: label} for choice in choices for label in classes[name]]
        yield from choices

    def steps_for(self, choice: dict[str, str]) -> tuple[GraphCall, ...]:
        """Return the steps that run when the labels have these values."""
        return tuple(s for s in self.steps if all(choice.get(name) == label for name, label in s.when.items()))

    def _check_relations(self) -> None:
        """Check what inputs ask of each other and a walk of them, and that what is made of them has own names."""
        try:
            for value in self.inputs:
                value.check(self.named)
            if self.walk:
                check_numbers((self.walk.anchor, self.walk.pull, self.walk.inertia), self.named)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        made = Counter([*self.named, *(n for v in self.inputs for n in v.forms(self.named) if n != v.name)])
        repeated = sorted(name for name, count in made.items() if count > 1)
        if repeated:
            raise ValueError(f"{self.name}: names of what is made of the inputs repeat: {repeated}")

    def _check_animation(self) -> None:
        if self.interpolation and self.walk:
            raise ValueError(f"{self.name}: an animation goes from one result to another, or wanders, not both")
        if self.walk and not self.of(NoiseInput):
            raise ValueError(f"{self.name}: a walk without noise maps")
        if self.walk and self.size and self.size.image:
            raise ValueError(f"{self.name}: a walk starts from nothing, and its size is that of {self.size.image!r}")
        latents = {value.name for value in (*self.of(LatentInput), *self.of(SlotsInput), *self.of(SizeInput))}
        if self.interpolation and self.interpolation.value not in latents | self.intermediates:
            raise ValueError(
                f"{self.name}: interpolates {self.interpolation.value!r}, "
                "which is not a latent, a size or a vector between steps"
            )

    def _check_branch(self, choice: dict[str, str]) -> None:
        values = set(self.forms)
        made: set[str] = set()
        for step in self.steps_for(choice):
            unknown = set(step.inputs.values()) - values
            if unknown:
                raise ValueError(f"{self.name}: graph {step.graph!r} needs {sorted(unknown)}, which nothing makes")
            made |= set(step.outputs.values())
            values |= made
        missing = {value.name for value in self.outputs} - made
        if missing:
            raise ValueError(f"{self.name}: no step makes {sorted(missing)} for {choice or 'any input'}")
