"""The same images through several models: who can do it with which options, and what each makes of every image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from PIL import Image

from i2i_registry.errors import concerns_all
from i2i_registry.sheets.sheet import check_shown, fitted
from i2i_runtime.bundle import Bundle, load
from i2i_runtime.call.arguments import Option, gather, main_image, option_from_text
from i2i_runtime.errors import I2IError, OptionError, UsageError, nearest
from i2i_runtime.image.reading import read
from i2i_runtime.schema.manifest import Manifest
from i2i_runtime.schema.operations import Fit, ImageInput, Input, Operation, VectorOutput


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every model and every image."""

    seed: int = 0
    """image i is made with seed + i, by every model"""
    fit: Fit | None = None
    device: str = "auto"
    threads: int | None = None
    cell_px: int = 256
    """longer side of the images that are kept: all results stay in memory, at this size only"""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model that takes part, and what it is asked to do."""

    title: str
    operation: Operation
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one image: itself or an error."""

    image: Image.Image | None = None
    seconds: float = 0.0
    error: I2IError | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """What one model made of every image."""

    entrant: Entrant
    manifest: Manifest
    made: tuple[Made, ...]

    @property
    def seconds(self) -> float | None:
        """Median time of an image; None when the model made none."""
        times = [each.seconds for each in self.made if each.error is None]
        return statistics.median(times) if times else None

    @property
    def size(self) -> int:
        """Bytes of the bundle's graphs."""
        return sum(graph.size for graph in self.manifest.graphs.values())


def enter(
    candidates: Mapping[str, Sequence[Operation]], operation: str | None, given: Mapping[str, str], settings: Settings
) -> list[Entrant]:
    """Check, before anything is computed, that every model can do what is asked.

    Args:
        candidates: title -> what the model can do.
        operation: the operation's name; None: each model's first.
        given: input -> value as text. A model takes those that its operation has.
        settings: as they will be used.

    Raises:
        UsageError: a model has no such operation, or the operation takes or makes no image.
        OptionError: no model has such an input, or one does not take the value, or needs another.
        ImageError: an image among the values cannot be read.
    """
    chosen = {title: _operation(title, operations, operation) for title, operations in candidates.items()}
    known = {value.name for each in chosen.values() for value in _free_inputs(each)}
    for name in given:
        if name not in known:
            raise OptionError(f"no model has an input {name!r} to set", expected=nearest(name, known))
    entrants: list[Entrant] = []
    for title, each in chosen.items():
        try:
            options = {v.name: option_from_text(v, given[v.name]) for v in _free_inputs(each) if v.name in given}
            _check(each, options, settings)
        except OptionError as error:
            raise OptionError(f"{title}: {error.found}", error.expected, "set it with --set NAME=VALUE") from error
        entrants.append(Entrant(title, each, options))
    return entrants


def inputs_of(sources: Sequence[Path], cell_px: int) -> list[Made]:
    """The images themselves, for the first column."""
    return [_tried(source, cell_px) for source in sources]


def compare(entrant: Entrant, bundle: Path, manifest: Manifest, sources: Sequence[Path], settings: Settings) -> Column:
    """Run one model over the images; its bundle is loaded here and freed again, so memory holds one at a time.

    An image that fails, or a bundle that cannot be loaded, is an error in the column, not an exception.

    Raises UsageError when the settings themselves are wrong: no other model would do better.
    """
    try:
        with load(bundle, device=settings.device, threads=settings.threads) as loaded:
            made = tuple(_run(loaded, entrant, sources, settings))
    except I2IError as error:
        if concerns_all(error):
            raise
        made = tuple(Made(error=error) for _ in sources)
    return Column(entrant, manifest, made)


def _run(bundle: Bundle, entrant: Entrant, sources: Sequence[Path], settings: Settings) -> Iterator[Made]:
    warm = False
    for index, source in enumerate(sources):
        seed = settings.seed + index
        try:
            image = read(source)
            if not warm:  # the first run makes the sessions, which would count as this image's time
                _make(bundle, entrant, image, settings, seed)
                warm = True
            started = time.perf_counter()
            result = _make(bundle, entrant, image, settings, seed)
            seconds = time.perf_counter() - started
        except I2IError as error:
            if concerns_all(error):
                raise
            yield Made(error=error)
        else:
            yield Made(fitted(result, settings.cell_px), seconds)


def _make(bundle: Bundle, entrant: Entrant, image: Image.Image, settings: Settings, seed: int) -> Image.Image:
    result = bundle.run(
        entrant.operation.name,
        image,
        seed=seed,
        fit=settings.fit,
        # Inputs are named by the bundle and checked by `enter`; none may have the name of a general argument.
        **entrant.options,  # pyright: ignore[reportArgumentType]
    )
    return cast("Image.Image", result)


def _tried(source: Path, cell_px: int) -> Made:
    try:
        return Made(fitted(read(source), cell_px))
    except I2IError as error:
        return Made(error=error)


def _operation(title: str, operations: Sequence[Operation], name: str | None) -> Operation:
    names = [each.name for each in operations]
    if name is not None and name not in names:
        raise UsageError(
            found=f"{title} has no operation {name!r}",
            expected=f"what every model can do; {title}: {', '.join(names)}",
            fix="choose another with --operation, or leave this model out",
        )
    chosen = operations[0 if name is None else names.index(name)]
    if main_image(chosen) is None:
        raise UsageError(f"{chosen.name} of {title} takes no image", expected="an operation on images")
    if all(isinstance(output, VectorOutput) for output in chosen.outputs):
        raise UsageError(f"{chosen.name} of {title} makes no image", expected="an operation that makes images")
    check_shown(chosen)
    return chosen


def _free_inputs(operation: Operation) -> list[Input]:
    """What is not the image itself."""
    main = main_image(operation)
    return [value for value in operation.inputs if value is not main]


def _check(operation: Operation, options: Mapping[str, Option], settings: Settings) -> None:
    """Everything that a call checks before it computes, on a black image of the model's own size."""
    size = cast("ImageInput", main_image(operation)).size
    blank = Image.new("RGB", (size.width, size.height))
    gather(operation, [blank], 1, options, fit=settings.fit, seed=settings.seed)
