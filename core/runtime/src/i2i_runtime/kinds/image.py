"""An image of a call, brought to a size that the graphs take."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image import faces, fitting
from i2i_runtime.image.faces import Landmarks
from i2i_runtime.image.fitting import ResizedImage
from i2i_runtime.image.pixels import Pixels
from i2i_runtime.image.reading import ImageSource, read_pixels
from i2i_runtime.image.resizing import Fit, Resizing, SizeRule
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Axis, Form
from i2i_runtime.records import Channels, Name, Range, Record


class Also(Record):
    """One more value made of the same image: at another size, resampled once from how the image was given."""

    name: Name
    height: PositiveInt
    width: PositiveInt


class ImageInput(InputKind, Resizing):
    """An image: float [n, channels, height, width] in `value_range`, RGB when it has three channels."""

    kind: Literal["image"] = "image"
    shows = "image"
    channels: Channels = 3
    value_range: Range = (-1.0, 1.0)
    also: Also | None = None
    """also makes this value, float [n, channels, also.height, also.width] in `value_range`"""
    framing: str = ""
    """What the image has to show for good results, for people: "a face, centred"."""
    face: Landmarks | None = None
    """what finds the face in an image of this input's own size"""

    @model_validator(mode="after")
    def _face_can_be_found(self) -> Self:
        if self.fit == "face" and self.face is None:
            raise ValueError(f"{self.name}: fit='face', and nothing says where faces are")
        return self

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    def sides(self, inputs: Inputs) -> tuple[int | Axis, int | Axis]:
        """Height and width as axes of a graph, free as far as the rule lets them be."""
        if not self.size.dynamic:
            return self.size.height, self.size.width
        main = next(value.name for value in inputs.values() if isinstance(value, ImageInput))
        prefix = "" if self.name == main else f"{self.name}_"
        height, width = (
            Axis(f"{prefix}{name}", own, self.size.multiple, self.size.minimum)
            for name, own in (("height", self.size.height), ("width", self.size.width))
        )
        return height, width

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the image, and the same at one more size."""
        forms = {self.name: Form((BATCH, self.channels, *self.sides(inputs)), "image")}
        if self.also:
            forms[self.also.name] = Form((BATCH, self.channels, self.also.height, self.also.width), "image")
        return forms

    def check(self, inputs: Inputs) -> None:
        """Check that the image at one more size has a name of its own."""
        if self.also and self.also.name in inputs:
            raise ValueError(f"the names of an input and of an image at one more size repeat: [{self.also.name!r}]")

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Each image read and brought to size once, however many items it is for."""
        given = gathering.given(self.name)
        if given is None:
            raise OptionError(found=f"the image {self.name!r} is missing", fix=f"pass {self.name}=...")
        sources = gathering.one_each(self.name, given, "images", ": one for each item")
        made = made_once(sources, lambda source: self._read(source, gathering))
        images = ImageColumn([image for image, _, _ in made], [size for _, size, _ in made], self.value_range)
        columns: dict[str, Column] = {self.name: images}
        if self.also:
            columns[self.also.name] = ArrayColumn([again for _, _, again in made])
        return columns

    def _read(
        self, source: ImageSource, gathering: Gathering
    ) -> tuple[ResizedImage, tuple[int, int], NDArray[np.float32]]:
        """Return the image, its height and width as it came, and its tensor at the other size."""
        pixels = read_pixels(source, self.channels)
        height, width = pixels.shape[:2]
        policy = gathering.fit or self.fit
        if policy == "face" and self.face and gathering.locate:
            pixels = faces.cut_face(pixels, self, self.value_range, self.face, gathering.locate)
        return fitting.fit_image(pixels, self, policy), (height, width), self._again(pixels, policy)

    def _again(self, pixels: Pixels, policy: Fit) -> NDArray[np.float32]:
        """Return the tensor at the other size, framed as `policy` frames the image; nothing where there is none."""
        if self.also is None:
            return np.empty(0, np.float32)
        other = self.model_copy(update={"size": SizeRule(height=self.also.height, width=self.also.width)})
        framing: Fit = "keep_aspect" if policy == "keep_aspect" else "resize"
        return fitting.image_to_tensor(fitting.fit_image(pixels, other, framing).pixels, self.value_range)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path."""
        return (CommandOption(self.name, self.summary, "path", required=True),)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return the image itself."""
        return (images[self.name],)


@dataclass(frozen=True, slots=True)
class ImageColumn(Column):
    """The images of a call; their tensors are made when they are stacked, as levels take a quarter of the memory."""

    images: Sequence[ResizedImage]
    given: Sequence[tuple[int, int]]
    """height and width that each came with"""
    value_range: Range

    def tensor(self, index: int) -> NDArray[np.generic]:
        """[channels, height, width] in the value range."""
        return fitting.image_to_tensor(self.images[index].pixels, self.value_range)

    def shape(self, index: int) -> tuple[int, ...]:
        """Channels, height and width."""
        height, width, channels = self.images[index].pixels.shape
        return channels, height, width

    def identity(self, index: int) -> Hashable:
        """Which image it is."""
        return id(self.images[index])
