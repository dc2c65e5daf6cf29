"""Image inputs as most papers take them, and calls of graphs that take values under their own names."""

from __future__ import annotations

from i2i_runtime.image.resizing import Resize, SizeRule, best_fit
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Channels
from i2i_runtime.schema.operations import GraphCall


def same_names(*names: str) -> dict[str, str]:
    """Values that a call passes on under the names that they have."""
    return dict(zip(names, names, strict=True))


def graph_call(graph: str, *values: str, **outputs: str) -> GraphCall:
    """Return the call of a graph that takes values under their own names; `output="value"` names what it gives.

    A graph that takes a value under another name needs a `GraphCall` of its own.
    """
    return GraphCall(graph=graph, inputs=same_names(*values), outputs=outputs)


def square_size(side: int, multiple: int | None = None, minimum: int = 1) -> SizeRule:
    """Images of `side` x `side` pixels; with a `multiple` also of any other size, in multiples of it from `minimum`."""
    if multiple is None:
        return SizeRule(height=side, width=side)
    return SizeRule(height=side, width=side, dynamic=True, multiple=multiple, minimum=minimum)


def translated_image(
    size: SizeRule, resize: Resize, *, channels: Channels = 3, summary: str = "the image to translate"
) -> ImageInput:
    """Return the image of a translation: the whole of it is translated, as `best_fit` says."""
    return ImageInput(name="image", summary=summary, channels=channels, size=size, fit=best_fit(size), resize=resize)
