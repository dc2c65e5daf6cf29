"""Inputs whose shape follows the size of the result or of an image: sizes, noise maps, masks, sampling grids.

How the values are made is in `sizing`, `masks` and `sampling_grids`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from i2i_runtime.records import MAX_PIXELS, MAX_SIDE, Name, Record, Side

MAX_SPREAD = 4096
"""pixels by which a mask may be widened, and over which it may be blurred"""


class SizeInput(Record):
    """How large the result is to be. It feeds no graph: noise maps and grids take their shapes from it.

    A caller gives `size=(height, width)` in pixels, or `scale=`, a factor, or one for each axis (vertical, horizontal).
    """

    kind: Literal["size"] = "size"
    name: Literal["size"] = "size"
    summary: str = ""
    height: Side
    """pixels; the own size, which a caller gets who asks for none"""
    width: Side
    image: Name | None = None
    """the image of the call whose size is meant by "own", in place of height x width"""
    rounding: Literal["nearest", "down"] = "nearest"
    """of lengths that a factor gives; halves go to the even neighbour"""
    multiple: Side = 1
    """what the result's sides are multiples of; with `scale` they are rounded down to one"""
    minimum_height: Side = 1
    minimum_width: Side = 1
    maximum: PositiveInt | None = None
    """of either side"""

    @model_validator(mode="after")
    def _own_size_obeys_the_rule(self) -> Self:
        if self.image is None and not self.accepts(self.height, self.width):
            raise ValueError(f"the own size {self.height}x{self.width} breaks its own rule: {self.describe()}")
        return self

    def accepts(self, height: int, width: int) -> bool:
        """Whether a result may have this size (pixels)."""
        top = self.maximum or max(height, width)
        least = height >= self.minimum_height and width >= self.minimum_width
        return least and all(side % self.multiple == 0 and side <= top for side in (height, width))

    def describe(self) -> str:
        """The rule in words, for error messages and documentation."""
        text = f"at least {self.minimum_height}x{self.minimum_width} pixels (height x width)"
        text += f", in multiples of {self.multiple}" if self.multiple > 1 else ""
        return text + (f", at most {self.maximum} a side" if self.maximum else "")


class NoiseInput(Record):
    """A map of random numbers: float [n, channels, h, w], N(0, 1) from the call's seed.

    Its sides follow the size of the result (`SizeInput`); a pyramid has one map for each scale.
    """

    kind: Literal["noise"] = "noise"
    name: Name
    summary: str = ""
    channels: Annotated[PositiveInt, Field(le=MAX_SIDE)]
    height: Side
    """rows at the operation's own size, without `border`"""
    width: Side
    border: Annotated[NonNegativeInt, Field(le=MAX_SIDE)] = 0
    """rows and columns that are added at every size, both sides together"""
    default: Literal["normal", "zeros"] = "normal"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.channels * (self.height + self.border) * (self.width + self.border) > MAX_PIXELS:
            raise ValueError(f"{self.name}: a noise map of more than {MAX_PIXELS:,} numbers")
        return self


class MaskInput(Record):
    """Where something is: float [n, 1, h, w] in [0, 1], from an image of which all that is not black counts."""

    kind: Literal["mask"] = "mask"
    name: Name
    summary: str = ""
    image: Name
    """the image of the call that it belongs to, and whose size it has"""
    dilate_px: Annotated[NonNegativeInt, Field(le=MAX_SPREAD)] = 0
    """radius of the disc that it is widened by, pixels of the fitted image"""
    blur: Annotated[NonNegativeFloat, Field(le=MAX_SPREAD)] = 0.0
    """standard deviation of the Gaussian that softens it then, pixels of the fitted image"""


class GridInput(Record):
    """Where in an image each pixel of the result looks: float [n, height, width, 2], (x, y) in [-1, 1].

    -1 and 1 are the centres of the image's first and last pixels. The runtime computes it from the size of the
    result and two shifts, so that the output's size is free and nothing in a graph depends on values.
    """

    kind: Literal["grid"] = "grid"
    name: Name
    summary: str = ""
    image: Name
    left_shift: Name | None = None
    """number input: how far the left border is shifted between top and bottom (`sampling_grids`)"""
    right_shift: Name | None = None
    coverage: Name | None = None
    """also makes this value, float [n, 1, height, width] in [0, 1]: how much of each pixel the image covers"""

    @model_validator(mode="after")
    def _shifts_come_in_pairs(self) -> Self:
        if (self.left_shift is None) != (self.right_shift is None):
            raise ValueError(f"{self.name}: one shift without the other")
        return self
