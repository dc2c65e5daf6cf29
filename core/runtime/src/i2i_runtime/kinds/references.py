"""One to many images whose codes are averaged (FUNIT, section 3: a class is shown by a few images of it)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from i2i_runtime.errors import OptionError
from i2i_runtime.image import fitting
from i2i_runtime.image.folders import scan_folder
from i2i_runtime.image.reading import ImageSource, read_pixels
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.base import CommandOption, Gathering, InputKind, Inputs, Option
from i2i_runtime.kinds.columns import ArrayColumn, Column, made_once
from i2i_runtime.kinds.forms import BATCH, Axis, Form
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import MAX_PIXELS, Channels, Range, Side
from i2i_runtime.type_guards import is_list_or_tuple, is_path


class ReferencesInput(InputKind):
    """Images of one size: float32 [n, references, channels, height, width]; items of as many references share a run.

    A caller gives one image, a list of images for all items, a folder of them, or a list with such a list (or a single
    image) for each item. The graph computes a code of each and takes their mean.
    """

    kind: Literal["references"] = "references"
    height: Side
    width: Side
    channels: Channels = 3
    value_range: Range = (-1.0, 1.0)
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
        sets = [self._listed(each) for each in items] * (gathering.count // len(items))
        flat = made_once([source for sources in sets for source in sources], self._tensor)
        tensors = iter(flat)
        stacked = [np.stack([next(tensors) for _ in sources]) for sources in sets]
        return {self.name: ArrayColumn(stacked)}

    def _listed(self, given: Any) -> Sequence[Any]:  # noqa: ANN401 - reading an image refuses what is none
        """Return the images of an item. Raises OptionError for none, and for too many."""
        sources = given if is_list_or_tuple(given) else _files_of(given) if is_path(given) else [given]
        if not 1 <= len(sources) <= self.most:
            raise OptionError(f"{len(sources)} images for {self.name!r}", expected=f"1 to {self.most} for an item")
        return sources

    def _tensor(self, source: ImageSource) -> NDArray[np.float32]:
        size = SizeRule(height=self.height, width=self.width)
        how = ImageInput(name=self.name, size=size, channels=self.channels, value_range=self.value_range)
        pixels = read_pixels(source, self.channels)
        return fitting.to_tensor(fitting.fit(pixels, how, "resize").pixels, self.value_range)

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


def _files_of(path: str | os.PathLike[str]) -> Sequence[Path]:
    """Return the images of a folder, or the file itself."""
    return scan_folder(Path(path)).images if Path(path).is_dir() else [Path(path)]
