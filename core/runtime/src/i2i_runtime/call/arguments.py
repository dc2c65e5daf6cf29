"""From what a caller passes to the columns of a call: which options there are, and which of them matter."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.errors import OptionError, nearest
from i2i_runtime.image.faces import Locate
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import FITS, Fit
from i2i_runtime.kinds.base import Gathering, Option, RandomInput
from i2i_runtime.kinds.columns import ArrayColumn, vectors
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.operations import Operation
from i2i_runtime.schema.wiring import needed_inputs

VectorShapes = Mapping[str, tuple[int, ...]]
"""vector that one step makes for another -> its shape, without batch axis"""

_NO_SHAPES: VectorShapes = MappingProxyType({})


def gather(
    operation: Operation,
    sources: Sequence[ImageSource] | None,
    count: int,
    options: Mapping[str, Option],
    *,
    fit: Fit | None,
    seed: int | None,
    shapes: VectorShapes = _NO_SHAPES,
    locate: Locate | None = None,
) -> Gathering:
    """Return the values of one call. `sources` are the images of the main input, `count` of them.

    `shapes` are those of the options that are vectors which the operation makes on its way: the inputs that lead to
    them are not asked for. `locate` finds faces; without it, where a call is only checked, images are taken as they
    are.

    Raises OptionError for an option that is unknown, missing, useless, of the wrong kind, or out of range, and
    ImageError for images that cannot be read or fitted.
    """
    _check_known(operation, options)
    _check_fit(operation, fit)
    given = {name: ArrayColumn(vectors(name, shape, options[name], count)) for name, shape in shapes.items()}
    asked = needed_inputs(operation, given)
    if given:
        _check_useful(operation, options, given, asked)
    call = gathering(operation, sources, options, count=count, fit=fit, seed=seed, locate=locate)
    call.columns.update(given)
    for value in operation.inputs:
        if value.name in asked:
            call.collect(value)
    return call


def gathering(
    operation: Operation,
    sources: Sequence[ImageSource] | None,
    options: Mapping[str, Option],
    *,
    count: int = 1,
    fit: Fit | None = None,
    seed: int | None = None,
    locate: Locate | None = None,
) -> Gathering:
    """Return the values of a call, none of which is made or checked yet. Raises OptionError for a negative seed."""
    main = operation.main_image
    images: dict[str, Option] = {main.name: list(sources)} if main and sources is not None else {}
    return Gathering(operation.inputs, count, {**options, **images}, first_seed(seed), fit, locate)


def random_options(operation: Operation, seed: int, options: Mapping[str, Option]) -> dict[str, Option]:
    """Return the random inputs of the first item of a call with this seed, as options that give all items the same.

    What `options` say of them holds. Raises OptionError for what they cannot be.
    """
    call = gathering(operation, None, options, seed=seed)
    return {value.name: value.held(call) for value in operation.of(RandomInput)}


def check_indices(operation: Operation, values: Mapping[str, NDArray[np.generic]]) -> None:
    """Raise OptionError for a label index out of range: a graph would take -1 for the last class, in silence."""
    for value in operation.inputs:
        if value.classes and value.name in values:
            wrong = [int(index) for index in values[value.name].ravel() if not 0 <= index < len(value.classes)]
            if wrong:
                found = f"{value.name} has the index {wrong[0]}"
                raise OptionError(found=found, expected=f"0 to {len(value.classes) - 1}: {', '.join(value.classes)}")


def first_seed(seed: int | None) -> int:
    """Return the seed of the first item; a new one for None. Raises OptionError for a negative one."""
    if seed is not None and seed < 0:
        raise OptionError(found=f"seed={seed}", expected="0 or more")
    return secrets.randbits(32) if seed is None else seed


def _check_known(operation: Operation, options: Mapping[str, Option]) -> None:
    main = operation.main_image
    known = [name for value in operation.free_inputs for name in value.option_names] + sorted(operation.intermediates)
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
    if fit == "face" and not any(image.face for image in operation.of(ImageInput)):
        raise OptionError(f"fit='face', and {operation.name} knows no faces", expected="resize, keep_aspect or native")


def _check_useful(
    operation: Operation, options: Mapping[str, Option], given: Collection[str], asked: Collection[str]
) -> None:
    taken = {name: value.name for value in operation.inputs for name in value.option_names}
    for name in options:
        if name in taken and taken[name] not in asked:
            raise OptionError(
                found=f"{name!r} beside {', '.join(sorted(given))}, which takes its place",
                expected=f"one of the two: with {', '.join(sorted(given))} given, {name!r} would change nothing",
            )
