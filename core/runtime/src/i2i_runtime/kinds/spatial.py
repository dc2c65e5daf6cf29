"""What inputs share that follow the size of an image."""

from __future__ import annotations

from i2i_runtime.kinds.base import InputKind, Inputs
from i2i_runtime.kinds.image import ImageInput


def check_image(owner: InputKind, name: str | None, inputs: Inputs) -> None:
    """Raise ValueError unless `name` is an image of the same operation, or None."""
    if name is not None and not isinstance(inputs.get(name), ImageInput):
        raise ValueError(f"{owner.name!r} belongs to {name!r}, which is no image input")
