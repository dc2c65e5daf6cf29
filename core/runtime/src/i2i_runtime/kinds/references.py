"""One to many images whose codes are averaged (FUNIT, section 3: a class is shown by a few images of it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image import fitting
from i2i_runtime.image.folders import scan_folder
from i2i_runtime.image.pixels import GREY, RGB
from i2i_runtime.image.reading import ImageSource, read_pixels
from i2i_runtime.image.resampling import resampled
from i2i_runtime.image.resizing import BILINEAR, Resize
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Axis, Form
from i2i_runtime.records import MAX_PIXELS, Channels, Range, Side
from i2i_runtime.type_guards import is_list_or_tuple, is_path


class ReferencesInput(InputKind):
    """Images of one size: float32 [n, references, channels, height, width]; items of as many references share a run.

    A caller gives one image, a list of images for all items, or a list with such a list (or a single image) for each
    item; a folder stands for the images below it. The graph computes a code of each and takes their mean.
    """

    kind: Literal["references"] = "references"
    shows = "images"
    height: Side
    width: Side
    channels: Channels = 3
    value_range: Range = (-1.0, 1.0)
    resize: Resize = BILINEAR
    """how an image comes to this size; its aspect ratio is not kept"""
    most: Annotated[PositiveInt, Field(le=256)] = 64
    """references of an item; more are refused before they are read"""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.most * self.channels * self.height * self.width > MAX_PIXELS:
            raise ValueError(f"{self.name}: {self.most} images of more than {MAX_PIXELS:,} numbers in all")
        return self

    @property
    def is_required(self) -> bool:
        """Always."""
        return True

    def forms(self, inputs: Inputs) -> dict[str, Form]:
        """Return the images of an item."""
        del inputs
        axes = (BATCH, Axis(f"{self.name}_count", 2), self.channels, self.height, self.width)
        return {self.name: Form(axes, "uniform", *self.value_range)}

    def collect(self, gathering: Gathering) -> Mapping[str, Column]:
        """Read each image once, however many items it is for. Raises OptionError or ImageError."""
        given = gathering.given(self.name)
        if given is None:
            raise OptionError(found=f"{self.name!r} is missing", fix=f"pass {self.name}=[...], one image or more")
        items = gathering.one_each(self.name, given, "lists of images") if _is_for_each(given) else [given]
        sets = [self._listed(each) for each in items]
        tensors = iter(made_once([source for sources in sets for source in sources], self._tensor))
        stacked = [np.stack([next(tensors) for _ in sources]) for sources in sets]
        return {self.name: ArrayColumn(stacked * (gathering.count // len(items)))}

    def _listed(self, given: object) -> Sequence[Any]:
        """Return the images of an item. Raises OptionError for none, and for too many."""
        entries = given if is_list_or_tuple(given) else [given]
        sources = [source for entry in entries for source in self._images_of(entry)]
        if not 1 <= len(sources) <= self.most:
            raise OptionError(f"{len(sources)} images for {self.name!r}", expected=f"1 to {self.most} for an item")
        return sources

    def _images_of(self, entry: object) -> Sequence[Any]:
        """Return the images of a folder, or the entry itself."""
        if not is_path(entry) or not entry or not Path(entry).is_dir():
            return [entry]
        return scan_folder(entry, arrays=self.channels not in {GREY, RGB}).images

    def _tensor(self, source: ImageSource) -> NDArray[np.float32]:
        pixels = read_pixels(source, self.channels)
        return fitting.image_to_tensor(resampled(pixels, self.width, self.height, self.resize), self.value_range)

    def command_options(self) -> tuple[CommandOption, ...]:
        """Return a path: of one image, or of a folder of them."""
        help_ = f"{self.summary} (an image, or a folder of up to {self.most})".strip()
        return (CommandOption(self.name, help_, "path", required=True),)

    def examples(self, images: Mapping[str, ImageSource]) -> Sequence[Option]:
        """Return pairs of images, each of one colour, as far as `most` lets there be two."""
        del images
        shape = (self.height, self.width, self.channels)
        dark, middle, light = (np.full(shape, level, np.uint8) for level in (40, 128, 220))
        return ([dark, light][: self.most], [middle, light][: self.most])


def _is_for_each(given: Option) -> bool:
    return is_list_or_tuple(given) and any(map(is_list_or_tuple, given))
