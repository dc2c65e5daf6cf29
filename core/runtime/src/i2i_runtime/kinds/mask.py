"""Where something is in an image, from an image that somebody painted over it (SinGAN's editing and harmonisation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, NonNegativeFloat, NonNegativeInt

from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.image.fitting import ResizedImage
from i2i_runtime.image.masks import soften_mask
from i2i_runtime.image.reading import ImageSource, read
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Form
from i2i_runtime.kinds.image import ImageColumn
from i2i_runtime.kinds.image_relations import check_image, image_of
from i2i_runtime.records import Name

MAX_SPREAD = 4096
"""pixels by which a mask may be widened, and over which it may be blurred"""


class MaskInput(InputKind):
    """Where something is: float [n, 1, h, w] in [0, 1], from an image of which all that is not black counts."""

    kind: Literal["mask"] = "mask"
    image: Name
    """the image of the call that it belongs to, and whose size it has"""
    dilate_px: Annotated[NonNegativeInt, Field(le=MAX_SPREAD)] = 0
    """radius of the disc that it is widened by, pixels of the fitted image"""
    blur: Annotated[NonNegativeFloat, Field(le=MAX_SPREAD)] = 0.0
    """standard deviation of the Gaussian that softens it then, pixels of the fitted image"""

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return a map of the size of its image."""
        return {self.name: Form((BATCH, 1, *image_of(self.image, inputs).sides(inputs)), "uniform", 0)}

    def uses(self, inputs: Inputs) -> frozenset[str]:
        """Its image."""
        del inputs
        return frozenset((self.image,))

    def check(self, inputs: Inputs) -> None:
        """Check that the image is one."""
        check_image(self, self.image, inputs)

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Each mask made once for each image that it is given with."""
        given = gathering.given(self.name)
        if given is None:
            raise OptionError(found=f"the image {self.name!r} is missing", fix=f"pass {self.name}=...")
        images = gathering.column(self.image, ImageColumn)
        sources = gathering.one_each(self.name, given, "images", ": one for each item")
        pairs = list(zip(made_once(sources, read), images.images, images.given, strict=True))
        masks = made_once(pairs, lambda pair: self._made(*pair), lambda pair: (id(pair[0]), id(pair[1])))
        return {self.name: ArrayColumn(masks)}

    def _made(self, mask: Image.Image, image: ResizedImage, given: tuple[int, int]) -> NDArray[np.float32]:
        """Return the mask [1, h, w] that belongs to an image, which had this height and width before.

        Raises ImageError when the mask has another size, or marks nothing.
        """
        height, width = given
        if mask.size != (width, height):
            raise ImageError(
                found=f"the mask {self.name!r} has {mask.size[0]}x{mask.size[1]} pixels (width x height)",
                expected=f"{width}x{height}, the size of the image {self.image!r}",
                fix="paint the mask over a copy of the image, and save it at the same size",
            )
        marked = np.asarray((np.asarray(mask.convert("RGB")) > 0).any(axis=-1), dtype=np.float32)
        top, left, bottom, right = image.seen
        marked = marked[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        placed = np.zeros(image.size, dtype=bool)
        # The mean of what a pixel covers is 0 only if nothing in it is marked: a thin line is not lost.
        inside = np.asarray(Image.fromarray(marked).resize((image.width, image.height), Image.Resampling.BOX)) > 0
        placed[image.top : image.top + image.height, image.left : image.left + image.width] = inside
        if not placed.any():
            raise ImageError(
                found=f"the mask {self.name!r} is black everywhere",
                expected="something that is not black where the image is to change",
                fix="paint the changed area white",
            )
        return soften_mask(placed, self.dilate_px, self.blur)[None]

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path."""
        return (CommandOption(self.name, self.summary, "path", required=True),)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """White: everything is marked."""
        height, width = _size(images[self.image])
        return (np.full((height, width), 255, np.uint8),)


def _size(image: ImageSource) -> tuple[int, int]:
    shape = np.asarray(image if isinstance(image, np.ndarray) else read(image)).shape
    return shape[0], shape[1]
