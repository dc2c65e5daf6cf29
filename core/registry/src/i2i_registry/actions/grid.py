"""Sources x looks: each image translated as every reference shows, or with every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from i2i_registry.actions.request import Attempt, Request, attempt, makes_images
from i2i_registry.actions.side_by_side import ImageAttempt, ResultColumn, SideBySide, read_images, shrunk
from i2i_registry.actions.sources import Scanned, SourceImage, find_sources
from i2i_registry.sheets.sheet import check_shown, fitted
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import random_options
from i2i_runtime.errors import ImageError, UsageError
from i2i_runtime.image.reading import read
from i2i_runtime.kinds.base import InputKind, Option, RandomInput
from i2i_runtime.schema.operations import Operation
from i2i_runtime.type_guards import is_list_or_tuple

_Labels = Mapping[str, Sequence[str]]
"""label input -> the classes that were named for it"""


@dataclass(frozen=True, slots=True)
class GridLook:
    """What a column is made with."""

    title: str
    request: Request
    image: Path | None = None
    """the reference, which heads the column; of several that count together the first"""


def reference_of(operation: Operation) -> InputKind | None:
    """Return the input that the columns show: the first after the main image that shows a look."""
    return next((value for value in operation.free_inputs if value.shows), None)


def can_fill(operation: Operation) -> bool:
    """Whether one image becomes many by references or seeds."""
    has_columns = reference_of(operation) or operation.of(RandomInput)
    return bool(operation.main_image and has_columns and makes_images(operation))


def plan_looks(request: Request, count: int, out: Path, scanned: Scanned) -> list[GridLook]:
    """Return the columns: a look for each reference, or for `count` seeds from that of the request on.

    Labels and the reference may have lists among the options of the request. References may be folders, but what lies
    in `out` is none of them; a folder is a column for each of its images, or one where several images count together.

    Raises UsageError for an operation without references and seeds, and for labels that do not fit the references.
    """
    operation = request.operation
    if not can_fill(operation):
        raise UsageError(
            found=f"{operation.name} makes one image of each",
            expected="an operation with a second image, or with a seed: they are the columns",
            fix="i2i-registry run",
        )
    check_shown(operation)
    reference, given = reference_of(operation), request.options
    labels = {value.name: _classes(value, given) for value in operation.inputs if value.classes}
    varied = {*labels, *([reference.name] if reference else [])}
    shared = replace(request, options={name: value for name, value in given.items() if name not in varied}, seed=0)
    seed = request.seed or 0
    if reference is None:
        return _looks_of_seeds(shared, range(seed, seed + count), labels)
    places = [Path(text) for text in _texts(given[reference.name])]
    drawn = shared.with_options(random_options(operation, seed, shared.options))
    if reference.shows == "images":
        shown = [(place, find_sources([place], out, scanned)[0].path) for place in places]
    else:
        shown = [(source.path, source.path) for source in find_sources(places, out, scanned)]
    return _looks_like(drawn, reference.name, shown, labels)


def make_grid(bundle: Bundle, sources: Sequence[SourceImage], looks: Sequence[GridLook], cell_px: int) -> SideBySide:
    """Every image in every look. One that cannot be read, or that the model refuses, stops no other.

    A look is computed once for all images. Raises UsageError when what is asked for is wrong itself.
    """
    images = read_images(sources)
    return SideBySide(
        title=f"{bundle.manifest.name}: {looks[0].request.operation.name}",
        sources=tuple(sources),
        columns=(
            ResultColumn("", tuple(shrunk(image, cell_px) for image in images)),
            *(_column(bundle, images, look, cell_px) for look in looks),
        ),
    )


def _looks_like(shared: Request, reference: str, shown: Sequence[tuple[Path, Path]], labels: _Labels) -> list[GridLook]:
    """Return a look for every reference: its path, and the image that heads its column.

    A label has one class for all of them, or one for each.
    """
    looks: list[GridLook] = []
    for number, (path, image) in enumerate(shown):
        chosen = {name: _one_for(name, classes, number, len(shown)) for name, classes in labels.items()}
        request = shared.with_options({**chosen, reference: str(path)})
        looks.append(GridLook("\n".join([*chosen.values(), path.name]), request, image))
    return looks


def _looks_of_seeds(shared: Request, seeds: Sequence[int], labels: _Labels) -> list[GridLook]:
    """Return a look for every seed, all of them for each class (each combination of them, of several labels).

    The vectors of a seed are those that `Bundle.run` draws from it; here every image gets the same.
    """
    return [
        GridLook(
            "\n".join([*classes, f"seed {seed}"]),
            shared.with_options(
                {**random_options(shared.operation, seed, shared.options), **dict(zip(labels, classes, strict=True))}
            ),
        )
        for classes in product(*labels.values())
        for seed in seeds
    ]


def _column(bundle: Bundle, images: Sequence[ImageAttempt], look: GridLook, cell_px: int) -> ResultColumn:
    there = [image.result for image in images if image.result is not None]
    try:
        made = iter([Attempt(image) for image in look.request.images(bundle, there)])
    except ImageError:  # of one of them: each by itself shows which
        made = iter([attempt(partial(look.request.image, bundle, image)) for image in there])
    cells = tuple(image if image.result is None else shrunk(next(made), cell_px) for image in images)
    return ResultColumn(look.title, cells, fitted(read(look.image), cell_px) if look.image else None)


def _classes(label: InputKind, given: Mapping[str, Option]) -> Sequence[str]:
    named = _texts(given.get(label.name))
    return named or ([] if label.is_required else _texts(label.examples({})[:1]))


def _texts(given: object) -> list[str]:
    """Return the values of an option that may be given several times; none without it."""
    return [str(each) for each in given] if is_list_or_tuple(given) else []


def _one_for(name: str, classes: Sequence[str], number: int, count: int) -> str:
    if len(classes) not in {1, count}:
        raise UsageError(
            found=f"{len(classes)} values of {name!r} for {count} references",
            expected="one for all of them, or one for each in their order",
            fix=f"--{name.replace('_', '-')} once, or {count} times",
        )
    return classes[number % len(classes)]
