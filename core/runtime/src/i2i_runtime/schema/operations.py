"""What a model can do, as data: an operation, its inputs and outputs, and the graph calls that compute it.

Command-line options, the exporter's graph wiring, the conformance tests and `bundle.translate(...)` are all derived
from these records, so this module imports nothing but pydantic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.kinds.spatial import GridInput as GridInput  # noqa: PLC0414
from i2i_runtime.kinds.spatial import MaskInput as MaskInput  # noqa: PLC0414
from i2i_runtime.kinds.spatial import NoiseInput as NoiseInput  # noqa: PLC0414
from i2i_runtime.kinds.spatial import SizeInput as SizeInput  # noqa: PLC0414

# Under these names they are part of this module's face.
from i2i_runtime.records import MAX_PIXELS, Number, Range, Side
from i2i_runtime.records import Name as Name  # noqa: PLC0414
from i2i_runtime.records import Record as Record  # noqa: PLC0414

MAX_BRANCHES = 256
"""Combinations of labels that choose between steps: the product of their numbers of classes."""

MAX_PARTS = 256
"""Inputs, outputs or steps of one operation."""

MAX_RANK = 8
"""Axes of a vector."""

OperationName = Literal[
    "translate",
    "translate_like",
    "sample",
    "reconstruct",
    "encode",
    "retarget",
    "harmonize",
    "edit",
    "paint",
    "super_resolve",
    "animate",
    "enhance",
    "stylize_mix",
]
"""The canonical verbs. Apps swap models because two papers that do the same thing call it the same."""

Fit = Literal["resize", "keep_aspect", "native", "face"]
"""How an image is brought to a size the graph takes.

resize       to the model's own size; the aspect ratio is not kept (what most papers do at test time)
keep_aspect  scaled to fit inside the model's own size; where sizes are free it is padded (or cut) to a multiple, else
             to that size; the padding is cut from the result
native       left at its size, padded (or cut) to a multiple; the padding is cut from the result
face         the face in it, cut out upright at the model's own size; for inputs that say where faces are (`face`)
"""


Kernel = Literal["bilinear", "bicubic", "box", "nearest", "singan"]
"""
bilinear, bicubic (Keys, a = -0.5), box (the mean of what a pixel covers), nearest    as Pillow's filters
singan    the bicubic resize that SinGAN and ConSinGAN have their images from (`resampling.cubic_matrix`)
"""

Rounding = Literal["nearest", "down", "none"]
"""To whole levels of 8 bits: halves up, cut off, or not at all."""


class Resize(Record):
    """One way of resampling; the default is what most papers' test transforms do (torchvision on PIL images)."""

    kernel: Kernel = "bilinear"
    antialias: bool = True
    """whether all pixels count that one of a smaller image covers; False: only those next to its centre"""
    rounding: Rounding = "nearest"

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if self.kernel == "singan" and not self.antialias:
            raise ValueError("the kernel 'singan' says itself when it averages: antialias stays true")
        return self


BILINEAR = Resize()
"""U-GAT-IT, StarGAN v2"""

BICUBIC = Resize(kernel="bicubic")
"""pix2pix, CycleGAN, BicycleGAN"""

SINGAN = Resize(kernel="singan", rounding="none")
"""SinGAN, ConSinGAN"""


class SizeRule(Record):
    """The image sizes (pixels) a graph accepts, and the one it was trained at."""

    height: Side
    width: Side
    dynamic: bool = False
    """False: exactly height x width. True: any size that keeps the three rules below."""
    multiple: Side = 1
    minimum: Side = 1
    maximum: PositiveInt | None = None

    @model_validator(mode="after")
    def _own_size_obeys_the_rule(self) -> Self:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"the model's own size {self.height}x{self.width} is beyond {MAX_PIXELS:,} pixels")
        for side in (self.height, self.width):
            if self.dynamic and not self.accepts(side, side):
                raise ValueError(f"the model's own size {side} breaks its own rule: {self.describe()}")
        return self

    def accepts(self, height: int, width: int) -> bool:
        """Whether an image of this size (pixels) may be fed as it is."""
        if not self.dynamic:
            return (height, width) == (self.height, self.width)
        top = self.maximum or max(height, width)
        return all(side % self.multiple == 0 and self.minimum <= side <= top for side in (height, width))

    def describe(self) -> str:
        """The rule in words, for error messages and documentation."""
        if not self.dynamic:
            return f"exactly {self.height}x{self.width} pixels"
        text = f"sides that are multiples of {self.multiple}, at least {self.minimum}"
        return text + (f", at most {self.maximum}" if self.maximum else "")


LARGE_ENOUGH = 256
"""pixels; a result whose sides are smaller is a thumbnail. The papers' networks learn from images of this size."""


def best_fit(size: SizeRule) -> Fit:
    """How a translator of whole images is best fed, so that its results keep the form of what goes in.

    What learned from images too small to look at knows tones and textures, which any size has: `native` where sizes
    are free. What learned from larger ones knows things of a certain scale, and gets them at that: `keep_aspect`.
    """
    return "native" if size.dynamic and max(size.height, size.width) < LARGE_ENOUGH else "keep_aspect"


class Landmarks(Record):
    """A graph that finds the parts of a face: image -> a heat map for each landmark, [n, k, y, x]."""

    graph: Name
    input: Name
    output: Name
    left_eye: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    """indices of the landmarks whose mean it is; the eye on the left of the image"""
    right_eye: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    mouth: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


Channels = Annotated[int, Field(ge=1, le=64)]
"""How many channels an image has; the bound keeps what a manifest can ask for small."""


class Also(Record):
    """One more value made of the same image: at another size, resampled once from how the image was given."""

    name: Name
    height: PositiveInt
    width: PositiveInt


class ImageInput(Record):
    """An image: float [n, channels, height, width] in `value_range`, RGB when it has three channels."""

    kind: Literal["image"] = "image"
    name: Name
    summary: str = ""
    channels: Channels = 3
    value_range: Range = (-1.0, 1.0)
    size: SizeRule
    fit: Fit = "resize"
    resize: Resize = Resize()
    to_multiple: Literal["pad", "cut"] = "pad"
    """how free sizes become multiples: "pad" mirrors the border outward; "cut" leaves out what is over, for networks
    whose statistics no made-up pixels may enter"""
    spare: Literal["end", "both"] = "end"
    """where: at the bottom and on the right, or half on each side"""
    also: Also | None = None
    """also makes this value, float [n, channels, also.height, also.width] in `value_range`"""
    framing: str = ""
    """What the image has to show for good results, for people: "a face, centred"."""
    face: Landmarks | None = None
    """what finds the face in an image of this input's own size"""

    @model_validator(mode="after")
    def _face_can_be_found(self) -> Self:
        if self.fit == "face" and self.face is None:
            raise ValueError(f"{self.name}: fit='face', and nothing says where faces are")
        return self


class LatentInput(Record):
    """A random vector: float [n, *shape]. Drawn from the seed when the caller gives none."""

    kind: Literal["latent"] = "latent"
    name: Name
    summary: str = ""
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=MAX_RANK)]
    distribution: Literal["normal", "uniform"] = "normal"
    """normal: N(0, 1); uniform: U(-1, 1)."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if prod(self.shape) > MAX_PIXELS:
            raise ValueError(f"{self.name}: a vector of more than {MAX_PIXELS:,} numbers")
        return self


class LabelInput(Record):
    """One of several named classes: int64 [n], the index into `names`."""

    kind: Literal["label"] = "label"
    name: Name
    summary: str = ""
    names: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(min_length=1, max_length=1000)]
    default: str | None = None
    """The class taken when the caller names none; None makes the input required."""

    @model_validator(mode="after")
    def _default_is_a_name(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"the names {self.names} repeat")
        if self.default is not None and self.default not in self.names:
            raise ValueError(f"default {self.default!r} is not one of {self.names}")
        return self


class ScalarInput(Record):
    """A number: float32 [n], the same for the whole batch."""

    kind: Literal["scalar"] = "scalar"
    name: Name
    summary: str = ""
    default: Number
    minimum: Number
    maximum: Number
    whole: bool = False
    """Whether only whole numbers are meant."""

    @model_validator(mode="after")
    def _default_in_range(self) -> Self:
        if self.whole and not all(n.is_integer() for n in (self.default, self.minimum, self.maximum)):
            raise ValueError(f"{self.name}: a whole number between {self.minimum} and {self.maximum}")
        if not self.minimum <= self.default <= self.maximum:
            raise ValueError(f"default {self.default} is outside [{self.minimum}, {self.maximum}]")
        return self


Input = Annotated[
    ImageInput | LatentInput | LabelInput | ScalarInput | SizeInput | NoiseInput | MaskInput | GridInput,
    Field(discriminator="kind"),
]


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
    """a latent input, a vector output that one step makes and another takes, or "size" """
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
        again = sorted({value.name for value in self.inputs} & set(self.also))
        if again or len(set(self.also)) < len(self.also):
            raise ValueError(f"{self.name}: names of images at one more size repeat: {again or self.also}")
        taken = sorted(RESERVED_NAMES & {value.name for value in self.inputs})
        if taken:
            raise ValueError(f"{self.name}: an input may not be called {taken}: every call has that argument")
        for choice in self.branches():
            self._check_branch(choice)
        self._check_references()
        self._check_animation()
        return self

    @property
    def size(self) -> SizeInput | None:
        """The input that says how large the result is to be, if a caller may choose."""
        return next((value for value in self.inputs if isinstance(value, SizeInput)), None)

    @property
    def fed(self) -> frozenset[str]:
        """The values that callers bring or the runtime makes before the first step; a size is none of them."""
        named = {value.name for value in self.inputs if not isinstance(value, SizeInput)}
        named |= {value.coverage for value in self.inputs if isinstance(value, GridInput) and value.coverage}
        return frozenset(named | set(self.also))

    @property
    def also(self) -> tuple[str, ...]:
        """The values that are images of the call at one more size."""
        return tuple(value.also.name for value in self.inputs if isinstance(value, ImageInput) and value.also)

    @property
    def intermediates(self) -> frozenset[str]:
        """Vector outputs that one step makes and another takes: a caller who has such a vector may give it instead."""
        taken = {value for step in self.steps for value in step.inputs.values()}
        vectors = {value.name for value in self.outputs if isinstance(value, VectorOutput)}
        return frozenset(taken & vectors - {value.name for value in self.inputs})

    def branches(self) -> Iterator[dict[str, str]]:
        """Every combination of the labels that steps depend on, as {label input: class}; at most MAX_BRANCHES."""
        labels = {value.name: value for value in self.inputs if isinstance(value, LabelInput)}
        used = sorted({name for step in self.steps for name in step.when})
        for name in used:
            if name not in labels:
                raise ValueError(f"{self.name}: a step depends on {name!r}, which is no label input")
        count = prod(len(labels[name].names) for name in used)
        if count > MAX_BRANCHES:
            raise ValueError(f"{self.name}: steps depend on {count:.3g} combinations of labels, at most {MAX_BRANCHES}")
        choices: list[dict[str, str]] = [{}]
        for name in used:
            choices = [{**choice, name: label} for choice in choices for label in labels[name].names]
        yield from choices

    def steps_for(self, choice: dict[str, str]) -> tuple[GraphCall, ...]:
        """The steps that run when the labels have these values."""
        return tuple(s for s in self.steps if all(choice.get(name) == label for name, label in s.when.items()))

    def _check_references(self) -> None:
        """Inputs may name others: masks and grids their image, grids and walks their numbers."""
        images = {value.name for value in self.inputs if isinstance(value, ImageInput)}
        scalars = {value.name for value in self.inputs if isinstance(value, ScalarInput)}
        for value in self.inputs:
            if isinstance(value, (MaskInput, GridInput, SizeInput)) and value.image not in images | {None}:
                raise ValueError(f"{self.name}: {value.name!r} belongs to {value.image!r}, which is no image input")
            if isinstance(value, GridInput):
                self._check_numbers((value.left_shift, value.right_shift), scalars)
        if self.walk:
            self._check_numbers((self.walk.anchor, self.walk.pull, self.walk.inertia), scalars)

    def _check_numbers(self, names: tuple[str | None, ...], scalars: set[str]) -> None:
        for name in names:
            if name is not None and name not in scalars:
                raise ValueError(f"{self.name}: {name!r} is no number input")

    def _check_animation(self) -> None:
        if self.interpolation and self.walk:
            raise ValueError(f"{self.name}: an animation goes from one result to another, or wanders, not both")
        if self.walk and not any(isinstance(value, NoiseInput) for value in self.inputs):
            raise ValueError(f"{self.name}: a walk without noise maps")
        if self.walk and self.size and self.size.image:
            raise ValueError(f"{self.name}: a walk starts from nothing, and its size is that of {self.size.image!r}")
        latents = {value.name for value in self.inputs if isinstance(value, (LatentInput, SizeInput))}
        if self.interpolation and self.interpolation.value not in latents | self.intermediates:
            raise ValueError(
                f"{self.name}: interpolates {self.interpolation.value!r}, "
                "which is not a latent, a size or a vector between steps"
            )

    def _check_branch(self, choice: dict[str, str]) -> None:
        values = set(self.fed)
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
