"""The gate's last question: does every operation of the written bundle run, from an image to an image?

Graphs that are right by themselves may still be fed what they do not take: the wrong number of channels in one of two
directions, a class that a table has no row for, a size that the operation promises and no graph accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_exporter_onnx.cases import photographs
from i2i_registry.errors import ExportError
from i2i_runtime.bundle import Bundle, load
from i2i_runtime.errors import I2IError
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.operations import ImageOutput, Operation

Labels = Mapping[str, str]

IMAGE_CHANNELS = frozenset({1, 3})
"""A photograph becomes either; images of other numbers of channels come as arrays."""


def rehearse(artefact: Path, threads: int, tell: Callable[[str], None]) -> None:
    """Load the bundle, a folder or a zip, and run each of its operations, with every class of every label.

    Raises ExportError at the first call that fails or whose result is not what the operation promises.
    """
    with load(artefact, device="cpu", threads=threads) as bundle:
        for operation in bundle.operations.values():
            choices = list(_choices(operation))
            for labels in choices:
                _run(bundle, operation, labels)
            ways = f" with {len(choices)} choices of classes" if len(choices) > 1 else ""
            tell(f"{operation.name}: runs from end to end{ways}")


def _choices(operation: Operation) -> Iterator[Labels]:
    """Every combination of classes that steps depend on, and every other class beside the first of these."""
    first = {value.name: str(value.examples({})[0]) for value in operation.inputs if value.classes}
    branches = [{**first, **branch} for branch in operation.branches()]
    yield from branches
    depended_on = {name for step in operation.steps for name in step.when}
    for value in operation.inputs:
        if value.name not in depended_on:
            yield from ({**branches[0], value.name: name} for name in value.classes if name != first[value.name])


def _run(bundle: Bundle, operation: Operation, labels: Labels) -> None:
    main = operation.main_image
    names = [output.name for output in operation.outputs]
    options: dict[str, Option] = {**_others(operation), **labels}
    try:
        (made,) = bundle.run(
            operation.name,
            None if main is None else _image(main, 0),
            options,
            outputs=names,
            seed=0,
            fit="resize" if main is not None and main.fit == "face" else None,
        )
    except I2IError as error:
        raise _failed(operation, labels, error.found) from error
    for output in operation.outputs:
        if isinstance(output, ImageOutput) and output.channels is not None:
            channels = _channels(made[output.name])
            if channels != output.channels:
                raise _failed(operation, labels, f"{output.name} has {channels} channels, not {output.channels}")


def _others(operation: Operation) -> dict[str, Option]:
    """Return what has to be given beside the main image; all else has defaults."""
    images = {image.name: _image(image, number) for number, image in enumerate(operation.of(ImageInput))}
    return {value.name: value.examples(images)[0] for value in operation.free_inputs if value.is_required}


def _image(value: ImageInput, number: int) -> Image.Image | np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a photograph, at a size that has to be brought to one that the input takes, where it takes several."""
    shown = photographs()
    image = shown[number % len(shown)].resize(_size(value), Image.Resampling.BICUBIC)
    if value.channels in IMAGE_CHANNELS:
        return image
    return np.asarray(image)[:, :, np.arange(value.channels) % 3]


def _size(value: ImageInput) -> tuple[int, int]:
    """Width and height, as Pillow orders them."""
    rule = value.size
    larger = rule.dynamic and rule.maximum is None
    return (rule.width + 2, rule.height + 1) if larger else (rule.width, rule.height)


def _channels(image: object) -> int:
    return len(image.getbands()) if isinstance(image, Image.Image) else np.asarray(image).shape[-1]


def _failed(operation: Operation, labels: Labels, what: str) -> ExportError:
    chosen = f" with {', '.join(f'{name}={label}' for name, label in labels.items())}" if labels else ""
    return ExportError(
        found=f"{operation.name}{chosen} does not run in the finished bundle: {what}",
        expected="every operation to run from its inputs to its outputs, with every class",
        fix="this is a fault of the plugin: operations() promises what graphs() do not take or give",
    )
