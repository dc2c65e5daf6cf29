"""The same images through several models: who can do it with which options, and what each makes of every image."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from i2i_registry.actions.request import Attempt, Request, attempt, makes_images
from i2i_registry.actions.side_by_side import ImageAttempt, shrunk
from i2i_registry.actions.sources import SourceImage
from i2i_registry.actions.target import LoadOptions, Target
from i2i_registry.errors import concerns_all
from i2i_registry.interfaces.exporter import TellProgress
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.archive.opening import read_manifest
from i2i_runtime.bundle import Bundle
from i2i_runtime.errors import I2IError, OptionError, UsageError, nearest
from i2i_runtime.image.reading import read
from i2i_runtime.image.resizing import Fit
from i2i_runtime.schema.manifest import Manifest
from i2i_runtime.schema.operations import Operation


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model that takes part, and what it is asked to do; image i is made with the request's seed + i."""

    title: str
    target: Target
    request: Request


@dataclass(frozen=True, slots=True)
class ModelResults:
    """What one model made of every image."""

    model: ComparedModel
    manifest: Manifest
    cells: tuple[ImageAttempt, ...]

    @property
    def seconds(self) -> float | None:
        """Median time of an image; None when the model made none."""
        times = [cell.seconds for cell in self.cells if cell.error is None]
        return statistics.median(times) if times else None

    @property
    def size(self) -> int:
        """Bytes of the bundle's graphs."""
        return sum(graph.size for graph in self.manifest.graphs.values())


def titles_of(targets: Sequence[Target]) -> dict[str, Target]:
    """Title -> target. A bundle's title is its folder's name, while that is clear."""
    short = [Path(target.text).resolve().name if target.is_bundle else target.text for target in targets]
    count = Counter(short)
    return {title if count[title] == 1 else target.text: target for title, target in zip(short, targets, strict=True)}


def enter_models(
    targets: Mapping[str, Target], operation: str | None, given: Mapping[str, str], fit: Fit | None, seed: int
) -> list[ComparedModel]:
    """Check, before anything is computed, that every model can do what is asked.

    Args:
        targets: title -> model.
        operation: the operation's name; None: each model's first.
        given: input -> value as text. A model takes those that its operation has.
        fit: as `Request` has it.
        seed: of the first image.

    Raises:
        UsageError: a model has no such operation, or the operation takes or makes no image.
        OptionError: no model has such an input, or one does not take the value, or needs another.
        ImageError: an image among the values cannot be read.
    """
    blank = {
        title: Request(_operation(title, target.operations(), operation), fit=fit, seed=seed)
        for title, target in targets.items()
    }
    known = {value.name for request in blank.values() for value in request.operation.free_inputs}
    for name in given:
        if name not in known:
            raise OptionError(f"no model has an input {name!r} to set", expected=nearest(name, known))
    models: list[ComparedModel] = []
    for title, request in blank.items():
        try:
            values = {v.name: v.from_text(given[v.name]) for v in request.operation.free_inputs if v.name in given}
            asked = request.with_options(values)
            asked.check()
        except OptionError as error:
            raise OptionError(f"{title}: {error.found}", error.expected, "set it with --set NAME=VALUE") from error
        models.append(ComparedModel(title, targets[title], asked))
    return models


def run_models(
    models: Sequence[ComparedModel],
    sources: Sequence[SourceImage],
    how: LoadOptions,
    cell_px: int,
    tell: TellProgress,
) -> Iterator[ModelResults]:
    """Run one model after the other over the images, each bundle loaded and freed again: memory holds one at a time.

    An image that fails, or a bundle that cannot be loaded, is an error in the results, not an exception.

    Raises UsageError when what is asked for is wrong itself: no other model would do better.
    """
    with ExitStack() as stack:
        # All bundles first: one that cannot be made is found before the others have run for hours.
        bundles = [stack.enter_context(model.target.bundle(tell)) for model in models]
        for model, path in zip(models, bundles, strict=True):
            yield _run_model(model, path, sources, how, cell_px)


def _run_model(
    model: ComparedModel, path: Path, sources: Sequence[SourceImage], how: LoadOptions, cell_px: int
) -> ModelResults:
    manifest = read_manifest(path)
    try:
        with how.load(path) as bundle:
            cells = tuple(shrunk(cell, cell_px) for cell in _run(bundle, model.request, sources))
    except I2IError as error:
        if concerns_all(error):
            raise
        cells = tuple(Attempt(error=error) for _ in sources)
    return ModelResults(model, manifest, cells)


def _run(bundle: Bundle, request: Request, sources: Sequence[SourceImage]) -> Iterator[ImageAttempt]:
    warm = False
    for index, source in enumerate(sources):
        image = attempt(partial(read, source.path))
        if image.result is None:
            yield image
            continue
        make = partial(request.with_seed(index).image, bundle, image.result)
        made = attempt(make)
        if not warm and made.error is None:  # the first run makes the sessions, which would count as this image's time
            warm, made = True, attempt(make)
        yield made


def _operation(title: str, operations: Sequence[Operation], name: str | None) -> Operation:
    names = [each.name for each in operations]
    if name is not None and name not in names:
        raise UsageError(
            found=f"{title} has no operation {name!r}",
            expected=f"what every model can do; {title}: {', '.join(names)}",
            fix="choose another with --operation, or leave this model out",
        )
    chosen = operations[0 if name is None else names.index(name)]
    if chosen.main_image is None:
        raise UsageError(f"{chosen.name} of {title} takes no image", expected="an operation on images")
    if not makes_images(chosen):
        raise UsageError(f"{chosen.name} of {title} makes no image", expected="an operation that makes images")
    check_shown(chosen)
    return chosen
