"""The tensors that the inputs of an operation give to graphs."""

from __future__ import annotations

from fractions import Fraction

from i2i_registry.interfaces.graphs import BATCH, Axis, Form
from i2i_runtime.call.sizes import Wanted, noise_shape
from i2i_runtime.schema.operations import (
    GridInput,
    ImageInput,
    LabelInput,
    LatentInput,
    MaskInput,
    NoiseInput,
    Operation,
    ScalarInput,
    SizeInput,
)

Sides = tuple[int | Axis, int | Axis]


def fed_forms(operation: Operation) -> dict[str, Form]:
    """Value -> form."""
    forms: dict[str, Form] = {}
    images = {value.name: value for value in operation.inputs if isinstance(value, ImageInput)}
    for value in operation.inputs:
        if isinstance(value, ImageInput):
            forms[value.name] = Form((BATCH, value.channels, *_sides(value, images)), "image")
            if value.also:
                forms[value.also.name] = Form((BATCH, value.channels, value.also.height, value.also.width), "image")
        elif isinstance(value, LatentInput):
            forms[value.name] = Form((BATCH, *value.shape), value.distribution)
        elif isinstance(value, LabelInput):
            forms[value.name] = Form((BATCH,), "index", 0, len(value.names) - 1)
        elif isinstance(value, ScalarInput):
            forms[value.name] = Form((BATCH,), "whole" if value.whole else "uniform", value.minimum, value.maximum)
        elif isinstance(value, NoiseInput):
            forms[value.name] = Form((BATCH, value.channels, *_map_sides(value, operation.size)), "normal")
        elif isinstance(value, MaskInput):
            forms[value.name] = Form((BATCH, 1, *_sides(images[value.image], images)), "uniform", 0)
        elif isinstance(value, GridInput):
            sides = _result_sides(operation.size) if operation.size else _sides(images[value.image], images)
            forms[value.name] = Form((BATCH, *sides, 2), "uniform")
            if value.coverage:
                forms[value.coverage] = Form((BATCH, 1, *sides), "uniform", 0)
    return forms


def _sides(image: ImageInput, images: dict[str, ImageInput]) -> Sides:
    rule = image.size
    if not rule.dynamic:
        return rule.height, rule.width
    prefix = "" if image.name == next(iter(images)) else f"{image.name}_"
    return (
        Axis(f"{prefix}height", rule.height, rule.multiple, rule.minimum),
        Axis(f"{prefix}width", rule.width, rule.multiple, rule.minimum),
    )


def _result_sides(size: SizeInput) -> Sides:
    height, width = (own // size.multiple * size.multiple for own in (size.height, size.width))
    return (
        Axis("out_height", height, size.multiple, size.minimum_height),
        Axis("out_width", width, size.multiple, size.minimum_width),
    )


def _map_sides(noise: NoiseInput, size: SizeInput | None) -> Sides:
    height, width = noise.height + noise.border, noise.width + noise.border
    if size is None:
        return height, width
    least = noise_shape(
        noise,
        size,
        Wanted(
            size.minimum_height,
            size.minimum_width,
            Fraction(size.minimum_height, size.height),
            Fraction(size.minimum_width, size.width),
        ),
    )
    return Axis(f"{noise.name}_height", height, minimum=least[1]), Axis(f"{noise.name}_width", width, minimum=least[2])
