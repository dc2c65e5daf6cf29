"""Sources x looks: each image translated as every reference shows, or with every seed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import cast

from PIL import Image

from i2i_registry.errors import concerns_all
from i2i_registry.sheets.sheet import Grid, Row, fitted
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import Option, draw, gather, main_image, random_shapes
from i2i_runtime.errors import I2IError, ImageError, UsageError
from i2i_runtime.image.reading import read
from i2i_runtime.schema.operations import Fit, ImageInput, Input, LatentInput, NoiseInput, Operation, VectorOutput

Labels = Mapping[str, Sequence[str]]
"""label input -> the classes that were named for it"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a column is made with."""

    title: str
    options: Mapping[str, Option]
    image: Path | None = None
    """the reference, which heads the column"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every cell."""

    operation: Operation
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    """values of the inputs that are the same in all columns"""
    fit: Fit | None = None
    cell_px: int = 256
    """longer side of the images that are kept: all results stay in memory, at this size only"""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one cell: an image or an error."""

    image: Image.Image | None = None
    error: I2IError | None = None


def reference_of(operation: Operation) -> ImageInput | None:
    """The image that the columns show: the first after the main one."""
    main = main_image(operation)
    others = (value for value in operation.inputs if isinstance(value, ImageInput) and value is not main)
    return next(others, None) if main else None


def is_random(value: Input) -> bool:
    """Whether a seed stands for it."""
    return isinstance(value, (LatentInput, NoiseInput))


def can_fill(operation: Operation) -> bool:
    """Whether one image becomes many by references or seeds."""
    has_columns = reference_of(operation) or any(map(is_random, operation.inputs))
    makes_images = not all(isinstance(output, VectorOutput) for output in operation.outputs)
    return bool(main_image(operation) and has_columns and makes_images)


def looks_like(operation: Operation, references: Sequence[Path], labels: Labels, seed: int) -> list[Look]:
    """A column for every reference. A label has one class for all of them, or one for each.

    All columns share the random vectors of the seed, if there are any.

    Raises UsageError for classes of another number.
    """
    reference = cast("ImageInput", reference_of(operation))
    columns: list[Look] = []
    for number, path in enumerate(references):
        chosen = {name: _one_for(name, classes, number, len(references)) for name, classes in labels.items()}
        options: dict[str, Option] = {**_drawn(operation, seed), **chosen, reference.name: str(path)}
        columns.append(Look("\n".join([*chosen.values(), path.name]), options, path))
    return columns


def looks_of_seeds(operation: Operation, seeds: Sequence[int], labels: Labels) -> list[Look]:
    """A column for every seed, all of them for each class (each combination of them, of several labels).

    The vectors of a seed are those that `Bundle.run` draws from it; here every image gets the same.
    """
    columns: list[Look] = []
    for classes in product(*labels.values()):
        chosen = dict(zip(labels, classes, strict=True))
        columns += [Look("\n".join([*classes, f"seed {n}"]), {**_drawn(operation, n), **chosen}) for n in seeds]
    return columns


def check(settings: Settings, looks: Sequence[Look]) -> None:
    """Everything that a call checks before it computes, on a black image of the model's own size.

    Raises OptionError for an input that is missing or wrong, ImageError for a reference that cannot be read.
    """
    size = cast("ImageInput", main_image(settings.operation)).size
    blank = Image.new("RGB", (size.width, size.height))
    for look in looks:
        options = {**settings.options, **look.options}
        gather(settings.operation, [blank], 1, options, fit=settings.fit, seed=0)


def make(bundle: Bundle, sources: Sequence[Path], looks: Sequence[Look], settings: Settings) -> Iterator[list[Made]]:
    """Column by column: first the images themselves, then each in every look.

    A look is computed once for all images. One that cannot be read, or that the model refuses, is an error in its
    cells and stops no other.

    Raises UsageError when the settings themselves are wrong.
    """
    read_once = [_read(source) for source in sources]
    yield [made if made.image is None else Made(fitted(made.image, settings.cell_px)) for made in read_once]
    for look in looks:
        options = {**settings.options, **look.options}
        yield _column(bundle, read_once, options, settings)


def draw_grid(places: Sequence[Path], looks: Sequence[Look], columns: Sequence[Sequence[Made]], cell_px: int) -> Grid:
    """The columns of `make` as a grid: references above, images on the left."""
    titles = ("", *(look.title for look in looks))
    rows: list[Row] = []
    if any(look.image for look in looks):
        heads = (fitted(read(look.image), cell_px) if look.image else None for look in looks)
        rows.append(Row("", (None, *heads)))
    for number, place in enumerate(places):
        first, *others = (column[number] for column in columns)
        # Where the image itself cannot be read, its own cell says so; the others would only repeat it.
        results = (_cell(made) if first.error is None else None for made in others)
        rows.append(Row(os.fspath(place), (_cell(first), *results)))
    return Grid(titles, tuple(rows))


def _column(bundle: Bundle, sources: Sequence[Made], options: Mapping[str, Option], settings: Settings) -> list[Made]:
    there = [made.image for made in sources if made.image is not None]
    try:
        results = iter([Made(image) for image in _run(bundle, there, options, settings)])
    except ImageError:  # of one of them: each by itself shows which
        results = iter([_alone(bundle, image, options, settings) for image in there])
    return [made if made.image is None else next(results) for made in sources]


def _alone(bundle: Bundle, image: Image.Image, options: Mapping[str, Option], settings: Settings) -> Made:
    try:
        (made,) = _run(bundle, [image], options, settings)
        return Made(made)
    except I2IError as error:
        if concerns_all(error):
            raise
        return Made(error=error)


def _run(
    bundle: Bundle, images: Sequence[Image.Image], options: Mapping[str, Option], settings: Settings
) -> list[Image.Image]:
    # Inputs are named by the bundle and checked by `check`; none may have the name of a general argument.
    made = bundle.run(settings.operation.name, list(images), seed=0, fit=settings.fit, **options)  # pyright: ignore[reportArgumentType]
    return [fitted(cast("Image.Image", image), settings.cell_px) for image in cast("list[object]", made)]


def _read(source: Path) -> Made:
    try:
        return Made(read(source))
    except I2IError as error:
        return Made(error=error)


def _drawn(operation: Operation, seed: int) -> dict[str, Option]:
    random = [value for value in operation.inputs if isinstance(value, (LatentInput, NoiseInput))]
    return dict(draw(random, seed, random_shapes(operation, None)))


def _one_for(name: str, classes: Sequence[str], number: int, count: int) -> str:
    if len(classes) not in {1, count}:
        raise UsageError(
            found=f"{len(classes)} values of {name!r} for {count} references",
            expected="one for all of them, or one for each in their order",
            fix=f"--{name.replace('_', '-')} once, or {count} times",
        )
    return classes[number % len(classes)]


def _cell(made: Made) -> Image.Image | str | None:
    return made.image if made.error is None else made.error.found
