"""What inputs share that follow the size of an image."""

from __future__ import annotations

from abc import abstractmethod

from i2i_runtime.kinds.base import Gathering, InputKind, Inputs
from i2i_runtime.kinds.image import ImageInput


class WidensImage(InputKind):
    """An input that makes the frame of an image wider, of which a scale is a multiple then."""

    @property
    @abstractmethod
    def widening(self) -> frozenset[str]:
        """The inputs that say by how much."""

    @abstractmethod
    def widened(self, gathering: Gathering, index: int, width: int) -> int:
        """Return the width of the frame (pixels) of an item's image of this width."""


def image_of(name: str, inputs: Inputs) -> ImageInput:
    """Return the image of the same operation that is called so. Raises ValueError where that is none."""
    image = inputs.get(name)
    if not isinstance(image, ImageInput):
        raise ValueError(f"{name!r} is no image input")  # noqa: TRY004 - of a manifest
    return image


def check_image(owner: InputKind, name: str | None, inputs: Inputs) -> None:
    """Raise ValueError unless `name` is an image of the same operation, or None."""
    if name is not None and not isinstance(inputs.get(name), ImageInput):
        raise ValueError(f"{owner.name!r} belongs to {name!r}, which is no image input")
