"""Translation between two domains, with a graph for each direction (CycleGAN, U-GAT-IT, UNIT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.schema.operations import GraphCall, Input, Operation, Output
from i2i_toolkit.operations.inputs import same_names

A_TO_B = "a_to_b"
"""Name of the graph, and of the generator, from the first domain to the second."""

B_TO_A = "b_to_a"
"""Name of the graph, and of the generator, from the second domain to the first."""


def two_way_translation(
    domains: tuple[str, str],
    image: ImageInput,
    outputs: Mapping[str, Output],
    *,
    others: Sequence[Input] = (),
    one_way: bool = False,
) -> Operation:
    """`translate` into the domain that a label names, the second one when it names none.

    Both graphs, `A_TO_B` and `B_TO_A`, take the image and the `others` under their names. `outputs` says what becomes
    of what they return. With `one_way` there is only the first, and no label.
    """
    first, second = domains
    label = LabelInput(name="domain", summary="what the image becomes", names=domains, default=second)
    directions: Mapping[str, Mapping[str, str]] = {A_TO_B: {"domain": second}, B_TO_A: {"domain": first}}
    if one_way:
        directions = {A_TO_B: {}}
    steps = (
        GraphCall(
            graph=graph,
            inputs=same_names(image.name, *(value.name for value in others)),
            outputs={output: value.name for output, value in outputs.items()},
            when=dict(when),
        )
        for graph, when in directions.items()
    )
    return Operation(
        name="translate",
        summary=f"{first} to {second}" + ("" if one_way else ", and back"),
        inputs=(image, *(() if one_way else (label,)), *others),
        outputs=tuple(outputs.values()),
        steps=tuple(steps),
    )
