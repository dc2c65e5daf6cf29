"""What says how an image changes its size: the sizes that a graph takes, and how an image is brought to one of them."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import PositiveInt, model_validator

from i2i_runtime.records import MAX_PIXELS, Record, Side

Fit = Literal["resize", "keep_aspect", "native", "face"]
"""How an image is brought to a size the graph takes.

resize       to the model's own size; the aspect ratio is not kept (what most papers do at test time)
keep_aspect  scaled to fit inside the model's own size; where sizes are free it is padded (or cut) to a multiple, else
             to that size; the padding is cut from the result
native       left at its size, padded (or cut) to a multiple; the padding is cut from the result
face         the face in it, cut out upright at the model's own size; for inputs that say where faces are (`face`)
"""

FITS: tuple[Fit, ...] = get_args(Fit)


Kernel = Literal["bilinear", "bicubic", "box", "nearest", "singan"]
"""
bilinear, bicubic (Keys, a = -0.5), box (the mean of what a pixel covers), nearest    as Pillow's filters
singan    the bicubic resize that SinGAN and ConSinGAN have their images from (`resampling.cubic_matrix`)
"""

Rounding = Literal["nearest", "down", "none"]
"""To whole levels of 8 bits: halves up, cut off, or not at all."""


class Resize(Record):
    """One way of resampling; the default is what most papers' test transforms do (torchvision on PIL images)."""

    kernel: Kernel = "bilinear"
    antialias: bool = True
    """whether all pixels count that one of a smaller image covers; False: only those next to its centre"""
    rounding: Rounding = "nearest"

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if self.kernel == "singan" and not self.antialias:
            raise ValueError("the kernel 'singan' says itself when it averages: antialias stays true")
        return self


BILINEAR = Resize()
"""U-GAT-IT, StarGAN v2"""

BICUBIC = Resize(kernel="bicubic")
"""pix2pix, CycleGAN, BicycleGAN"""

SINGAN = Resize(kernel="singan", rounding="none")
"""SinGAN, ConSinGAN"""


class SizeRule(Record):
    """The image sizes (pixels) a graph accepts, and the one it was trained at."""

    height: Side
    width: Side
    dynamic: bool = False
    """False: exactly height x width. True: any size that keeps the three rules below."""
    multiple: Side = 1
    minimum: Side = 1
    maximum: PositiveInt | None = None

    @model_validator(mode="after")
    def _own_size_obeys_the_rule(self) -> Self:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"the model's own size {self.height}x{self.width} is beyond {MAX_PIXELS:,} pixels")
        for side in (self.height, self.width):
            if self.dynamic and not self.accepts(side, side):
                raise ValueError(f"the model's own size {side} breaks its own rule: {self.describe()}")
        return self

    def accepts(self, height: int, width: int) -> bool:
        """Whether an image of this size (pixels) may be fed as it is."""
        if not self.dynamic:
            return (height, width) == (self.height, self.width)
        top = self.maximum or max(height, width)
        return all(side % self.multiple == 0 and self.minimum <= side <= top for side in (height, width))

    def describe(self) -> str:
        """Return the rule in words, for error messages and documentation."""
        if not self.dynamic:
            return f"exactly {self.height}x{self.width} pixels"
        text = f"sides that are multiples of {self.multiple}, at least {self.minimum}"
        return text + (f", at most {self.maximum}" if self.maximum else "")


LARGE_ENOUGH = 256
"""pixels; a result whose sides are smaller is a thumbnail. The papers' networks learn from images of this size."""


def best_fit(size: SizeRule) -> Fit:
    """How a translator of whole images is best fed, so that its results keep the form of what goes in.

    What learned from images too small to look at knows tones and textures, which any size has: `native` where sizes
    are free. What learned from larger ones knows things of a certain scale, and gets them at that: `keep_aspect`.
    """
    return "native" if size.dynamic and max(size.height, size.width) < LARGE_ENOUGH else "keep_aspect"


class Resizing(Record):
    """How an image is brought to a size that a graph takes."""

    size: SizeRule
    fit: Fit = "resize"
    resize: Resize = Resize()
    to_multiple: Literal["pad", "cut"] = "pad"
    """how free sizes become multiples: "pad" mirrors the border outward; "cut" leaves out what is over, for networks
    whose statistics no made-up pixels may enter"""
    spare: Literal["end", "both"] = "end"
    """where: at the bottom and on the right, or half on each side"""
