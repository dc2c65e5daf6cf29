"""Translation between two domains, with a graph for each direction (CycleGAN, U-GAT-IT, UNIT)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.schema.operations import GraphCall, Input, Operation, Output
from i2i_toolkit.operations.inputs import same_names

if TYPE_CHECKING:
    from torch import Tensor

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


def two_way_preview(
    batch: Mapping[str, Tensor],
    domains: tuple[str, str],
    a_to_b: Callable[[Tensor], Tensor],
    b_to_a: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return columns of a sample grid: of each domain the images, what they become, and what those become again.

    Args:
        batch: "A" and "B" -> images [n, c, h, w] in [-1, 1], as `UnpairedLayout` gives them.
        domains: what the images of "A" and of "B" show.
        a_to_b: translates images of the first domain.
        b_to_a: translates those of the second.
    """
    a, b = domains
    columns: dict[str, Tensor] = {}
    for image, source, target, forth, back in ((batch["A"], a, b, a_to_b, b_to_a), (batch["B"], b, a, b_to_a, a_to_b)):
        translated = forth(image)
        columns |= {source: image, f"{source} to {target}": translated, f"{source} and back": back(translated)}
    return columns
