"""From what a caller passes to what an operation takes: images, class names, numbers, random vectors.

Everything here is per item of the call; tensors are stacked only when a batch runs, so that items of different size
or class can travel in one call.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.call.maps import Fields, Placed
from i2i_runtime.call.sizes import SCALE, Wanted, noise_shape
from i2i_runtime.errors import OptionError, nearest
from i2i_runtime.image import faces, fitting
from i2i_runtime.image import reading as images
from i2i_runtime.image.faces import Locate
from i2i_runtime.image.fitting import Fitted
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.kinds.spatial import GridInput, MaskInput, NoiseInput, SizeInput
from i2i_runtime.schema.operations import Fit, ImageInput, Input, LabelInput, LatentInput, Operation, ScalarInput
from i2i_runtime.schema.wiring import needed_inputs

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
    | Sequence[ImageSource]
    | None
)
"""A value for an input by name: a class, a number, a size, random numbers, or one more image (or a list of them).

Lists of sizes are for animations (`Bundle.frames`)."""

Shapes = Mapping[str, tuple[int, ...]]
"""input -> shape of its value, without batch axis"""

_NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})

FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True, slots=True)
class Item:
    """Everything one item of a call feeds, before it is stacked into a batch."""

    images: Mapping[str, Fitted]
    labels: Mapping[str, str]
    scalars: Mapping[str, float]
    vectors: Mapping[str, NDArray[np.float32]]
    """random vectors and noise maps, drawn or given, and vectors given in place of the steps that would make them"""
    maps: Mapping[str, NDArray[np.float32]]
    """masks, sampling grids, what the grids cover, and images at one more size"""

    @property
    def extents(self) -> list[tuple[int, int]]:
        """Height and width of all that has two sides."""
        sizes = [fitted.pixels.shape[:2] for fitted in self.images.values()]
        sizes += [value.shape[-2:] for value in self.vectors.values() if value.ndim > 2]  # noqa: PLR2004 - c, h, w
        sizes += [grid.shape[:2] if grid.shape[-1] == 2 else grid.shape[-2:] for grid in self.maps.values()]  # noqa: PLR2004 - x, y
        return [(height, width) for height, width in sizes]

    def tensor(self, value: Input) -> NDArray[np.generic]:
        """This item's tensor for an input, without a batch axis."""
        match value:
            case ImageInput():
                return fitting.to_tensor(self.images[value.name].pixels, value.value_range)
            case LabelInput():
                return np.array(value.names.index(self.labels[value.name]), dtype=np.int64)
            case ScalarInput():
                return np.array(self.scalars[value.name], dtype=np.float32)
            case LatentInput() | NoiseInput():
                return self.vectors[value.name]
            case MaskInput() | GridInput():
                return self.maps[value.name]
            case SizeInput():
                raise TypeError("a size feeds no graph")

    def identity(self, name: str) -> object:
        """Equal for two items of a call only if both have the same value there; not always if they have."""
        if name in self.labels or name in self.scalars:
            return self.labels.get(name, self.scalars.get(name))
        if name in self.images:
            return id(self.images[name])
        return id(self.maps.get(name, self.vectors.get(name, self)))


def main_image(operation: Operation) -> ImageInput | None:
    """The image an operation works on: its first image input. None for operations that start from nothing."""
    return next((value for value in operation.inputs if isinstance(value, ImageInput)), None)


def gather(
    operation: Operation,
    sources: Sequence[ImageSource] | None,
    count: int,
    options: Mapping[str, Option],
    *,
    fit: Fit | None,
    seed: int | None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    locate: Locate | None = None,
) -> list[Item]:
    """The items of one call. `sources` are the images of the main input, `count` of them.

    `shapes` are those of the vectors that the operation makes on its way, each of which may be given instead: then
    the inputs that lead to it are not asked for. `locate` finds faces; without it, where a call is only checked,
    images are taken as they are.

    Raises OptionError for an option that is unknown, missing, useless, of the wrong kind, or out of range, and
    ImageError for images that cannot be read or fitted.
    """
    main = main_image(operation)
    _check_known(operation, main, options)
    _check_fit(operation, fit)
    vectors = {name: _given_vectors(name, shapes[name], options[name], count) for name in shapes if name in options}
    asked = needed_inputs(operation, vectors)
    _check_useful(operation, options, vectors, asked)
    inputs = [value for value in operation.inputs if value.name in asked]
    placed_of: dict[str, list[Placed]] = {}
    for value in inputs:
        if isinstance(value, ImageInput):
            given = sources if value is main else _image_list(value.name, options.get(value.name), count)
            placed_of[value.name] = _fit_all(value, given or (), fit, locate)
    labels = {v.name: _labels(v, options.get(v.name), count) for v in inputs if isinstance(v, LabelInput)}
    scalars = {v.name: _scalars(v, options.get(v.name), count) for v in inputs if isinstance(v, ScalarInput)}
    masks = {v: _masks(v, options.get(v.name), count) for v in inputs if isinstance(v, MaskInput)}
    fields, random = Fields(operation, options), _Random(operation, options, count, first_seed(seed))
    items: list[Item] = []
    for index in range(count):
        placed = {name: each[index] for name, each in placed_of.items()}
        numbers = {name: each[index] for name, each in scalars.items()}
        wanted = fields.wanted(placed, numbers)
        maps = {v.name: fields.mask(v, each[index], placed[v.image]) for v, each in masks.items()}
        items.append(
            Item(
                images={name: each.fitted for name, each in placed.items()},
                labels={name: chosen[index] for name, chosen in labels.items()},
                scalars=numbers,
                vectors={name: each[index] for name, each in vectors.items()} | random.of(index, wanted),
                maps=maps | fields.grids(placed, numbers, wanted) | _also(operation, placed),
            )
        )
    return items


def check_indices(operation: Operation, values: Mapping[str, NDArray[np.generic]]) -> None:
    """Raises OptionError for a label index out of range: a graph would take -1 for the last class, in silence."""
    for value in operation.inputs:
        if isinstance(value, LabelInput) and value.name in values:
            wrong = [int(index) for index in values[value.name].ravel() if not 0 <= index < len(value.names)]
            if wrong:
                found = f"{value.name} has the index {wrong[0]}"
                raise OptionError(found=found, expected=f"0 to {len(value.names) - 1}: {', '.join(value.names)}")


def option_from_text(value: Input, text: str) -> Option:
    """What a person typed for an input, as a call takes it: a class, the path of an image, a size, or a number.

    Raises OptionError for what is no number, and for random numbers and grids, which nobody types.
    """
    if isinstance(value, (LatentInput, NoiseInput)):
        raise OptionError(found=f"{value.name}={text!r}, which is random", expected="a seed instead")
    if isinstance(value, GridInput):
        raise OptionError(found=f"{value.name}={text!r}, which follows from the size", expected="size or scale instead")
    if not isinstance(value, ScalarInput):
        return text
    try:
        return float(text)
    except ValueError:
        raise OptionError(found=f"{value.name}={text!r}", expected="a number") from None


def _check_known(operation: Operation, main: ImageInput | None, options: Mapping[str, Option]) -> None:
    named = [v.name for v in operation.inputs if v is not main and not isinstance(v, GridInput)]
    known = [*named, *([SCALE] if operation.size else []), *sorted(operation.intermediates)]
    for name in options:
        if name not in known:
            is_main = main is not None and name == main.name
            raise OptionError(
                found=f"{operation.name} has no option {name!r}",
                expected=nearest(name, [*known, "seed", "fit", "outputs", "batch_size", "count"]),
                fix=f"the image {name!r} is the first argument, without its name" if is_main else "",
            )


def _check_fit(operation: Operation, fit: Fit | None) -> None:
    if fit is not None and fit not in FITS:
        raise OptionError(found=f"fit={fit!r}", expected=nearest(fit, FITS))
    if fit == "face" and not any(isinstance(value, ImageInput) and value.face for value in operation.inputs):
        raise OptionError(f"fit='face', and {operation.name} knows no faces", expected="resize, keep_aspect or native")


def _check_useful(
    operation: Operation, options: Mapping[str, Option], given: Collection[str], asked: Collection[str]
) -> None:
    inputs = {value.name for value in operation.inputs}
    for name in options:
        if name in inputs and name not in asked:
            raise OptionError(
                found=f"{name!r} beside {', '.join(sorted(given))}, which takes its place",
                expected=f"one of the two: with {', '.join(sorted(given))} given, {name!r} would change nothing",
            )


def _image_list(name: str, given: Option, count: int) -> Sequence[ImageSource]:
    """One image for all items, or a list with one for each."""
    if given is None:
        raise OptionError(found=f"the image {name!r} is missing", fix=f"pass {name}=...")
    if not isinstance(given, (list, tuple)):
        return [cast("ImageSource", given)] * count
    if len(given) != count:
        raise OptionError(found=f"{len(given)} images for {name!r}", expected=f"one, or {count}: one for each item")
    return cast("Sequence[ImageSource]", given)


def _fit_all(value: ImageInput, sources: Sequence[ImageSource], fit: Fit | None, locate: Locate | None) -> list[Placed]:
    policy = fit or value.fit
    placed: dict[int, Placed] = {}  # an image that is given several times is read once
    for source in sources:
        if id(source) not in placed:
            pixels = images.read_pixels(source, value.channels)
            height, width = pixels.shape[:2]
            if policy == "face" and value.face and locate:
                pixels = faces.cut_face(pixels, value, value.face, locate)
            also = fitting.also(pixels, value, policy)
            placed[id(source)] = Placed(fitting.fit(pixels, value, policy), (width, height), also)
    return [placed[id(source)] for source in sources]


def _also(operation: Operation, placed: Mapping[str, Placed]) -> dict[str, NDArray[np.float32]]:
    """The images that are also fed at another size."""
    again = [value for value in operation.inputs if isinstance(value, ImageInput) and value.also]
    return {
        value.also.name: made
        for value in again
        if value.also and value.name in placed and (made := placed[value.name].also) is not None
    }


def _masks(value: MaskInput, given: Option, count: int) -> list[Image.Image]:
    sources = _image_list(value.name, given, count)
    read = {id(source): images.read(source) for source in sources}
    return [read[id(source)] for source in sources]


def _labels(value: LabelInput, given: Option, count: int) -> list[str]:
    chosen = value.default if given is None else given
    if chosen is None:
        raise OptionError(found=f"{value.name!r} is missing", expected=f"one of: {', '.join(value.names)}")
    each = list(chosen) if isinstance(chosen, (list, tuple)) else [chosen] * count
    if len(each) != count:
        raise OptionError(found=f"{len(each)} values for {value.name!r}", expected=f"one, or {count}")
    for label in each:
        if label not in value.names:
            raise OptionError(found=f"{value.name}={label!r}", expected=nearest(str(label), value.names))
    return cast("list[str]", each)


def _scalars(value: ScalarInput, given: Option, count: int) -> list[float]:
    """One number for all items, or a list with one for each."""
    if not isinstance(given, (list, tuple)):
        return [number(value, value.default if given is None else given)] * count
    if len(given) != count:
        raise OptionError(found=f"{len(given)} values for {value.name!r}", expected=f"one, or {count}")
    return [number(value, each) for each in given]


def number(value: ScalarInput, given: object) -> float:
    """What was given for a number. Raises OptionError for what is none, or out of range, or no whole one."""
    if isinstance(given, bool) or not isinstance(given, (int, float, np.integer, np.floating)):
        raise OptionError(found=f"{value.name} is a {type(given).__name__}", expected="a number")
    if not value.minimum <= given <= value.maximum:
        raise OptionError(found=f"{value.name}={given}", expected=f"from {value.minimum:g} to {value.maximum:g}")
    if value.whole and float(given) != int(given):
        raise OptionError(found=f"{value.name}={given}", expected="a whole number")
    return float(given)


def first_seed(seed: int | None) -> int:
    """The seed of the first item; a new one for None. Raises OptionError for a negative one."""
    if seed is not None and seed < 0:
        raise OptionError(found=f"seed={seed}", expected="0 or more")
    return secrets.randbits(32) if seed is None else seed


@dataclass(slots=True)
class _Random:
    """The random inputs of a call: drawn, but for those that are given."""

    operation: Operation
    options: Mapping[str, Option]
    count: int
    seed: int
    given: dict[tuple[str, tuple[int, ...]], list[NDArray[np.float32]]] = field(
        default_factory=dict[tuple[str, tuple[int, ...]], list[NDArray[np.float32]]]
    )
    """(name, shape) -> what was given, for each item; read once, so that what is equal for all items is one array"""

    def of(self, index: int, wanted: Wanted | None) -> dict[str, NDArray[np.float32]]:
        """The random vectors and noise maps of one item."""
        inputs = [value for value in self.operation.inputs if isinstance(value, (LatentInput, NoiseInput))]
        shapes = random_shapes(self.operation, wanted)
        values = draw(inputs, self.seed + index, shapes)
        for name in values:
            if self.options.get(name) is not None:
                values[name] = self._given(name, shapes[name])[index]
        return values

    def _given(self, name: str, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
        if (name, shape) not in self.given:
            self.given[name, shape] = _given_vectors(name, shape, self.options[name], self.count)
        return self.given[name, shape]


def result_size(
    operation: Operation, source: ImageSource | None, options: Mapping[str, Option], *, fit: Fit | None
) -> tuple[int, int]:
    """Height and width of the result of a call, before it is made; (0, 0) where no caller chooses.

    Raises what the call would raise about its size and its image.
    """
    main = main_image(operation)
    placed = {main.name: _fit_all(main, [source], fit, None)[0]} if main and source is not None else {}
    scalars = {v.name: _scalars(v, options.get(v.name), 1)[0] for v in operation.inputs if isinstance(v, ScalarInput)}
    wanted = Fields(operation, options).wanted(placed, scalars)
    return (wanted.height, wanted.width) if wanted else (0, 0)


def random_shapes(operation: Operation, wanted: Wanted | None) -> dict[str, tuple[int, ...]]:
    """The shape of every random input of an operation, for a result of the wanted size."""
    shapes: dict[str, tuple[int, ...]] = {}
    for value in operation.inputs:
        if isinstance(value, LatentInput):
            shapes[value.name] = value.shape
        elif isinstance(value, NoiseInput):
            shapes[value.name] = noise_shape(value, operation.size, wanted)
    return shapes


def draw(inputs: Sequence[LatentInput | NoiseInput], seed: int, shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """The random inputs of one item: NumPy's PCG64 started with `seed`, the inputs in their declared order.

    Item i of a call with seed s is drawn with seed s + i: so a batch, its parts, and single calls agree. Giving one
    of them explicitly does not change the others.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn: dict[str, NDArray[np.float32]] = {}
    for value in inputs:
        shape = shapes[value.name]
        if isinstance(value, NoiseInput):
            normal = value.default == "normal"
            drawn[value.name] = (
                generator.standard_normal(shape, dtype=np.float32) if normal else np.zeros(shape, np.float32)
            )
        elif value.distribution == "normal":
            drawn[value.name] = generator.standard_normal(shape, dtype=np.float32)
        else:
            drawn[value.name] = generator.uniform(-1, 1, shape).astype(np.float32)
    return drawn


def _given_vectors(name: str, shape: tuple[int, ...], given: Option, count: int) -> list[NDArray[np.float32]]:
    """One vector for all items, or one for each along a first axis."""
    array = np.asarray(given)
    expected = f"float {list(shape)}, or {[count, *shape]}: one for each item"
    if not np.issubdtype(array.dtype, np.number) or array.shape not in {shape, (count, *shape)}:
        raise OptionError(found=f"{name} is {array.dtype} of shape {list(array.shape)}", expected=expected)
    vectors = array.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise OptionError(found=f"{name} holds values that are not finite", expected=expected)
    return [vectors] * count if vectors.shape == shape else list(vectors)
