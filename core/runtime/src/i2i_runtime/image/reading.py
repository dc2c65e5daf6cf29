"""Safe decoding of images to upright 8-bit levels.

What decoding promises, whatever the file: the pixels a person sees, as sRGB, 8 bits a channel, turned upright.
Embedded colour profiles are applied, 16-bit images are scaled (65535 becomes 255), float ones are read as 0..1,
transparency is flattened on white, of several frames or pages the first is taken, and the content decides the format,
never the name. What is taken but looks wrong (a broken profile, 16 bits of which a sliver is used) is told.

Where a model takes another number of channels than 1 or 3 (`read_pixels`), an image is an array [h, w, channels]:
a .npy file, the pages of a TIFF or several files `a.png+b.png` stacked, or the four channels of an RGBA image.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from i2i_runtime.errors import ImageError
from i2i_runtime.image import pixels
from i2i_runtime.image.colour_profiles import Tell, to_srgb
from i2i_runtime.image.decoding import SourceReader, check_pixel_count
from i2i_runtime.image.pixels import GREY, RGB, RGBA, Pixels

# Under this name it is part of this module's face.
from i2i_runtime.image.pixels import MAX_PIXELS as MAX_PIXELS  # noqa: PLC0414

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]
"""A path, an encoded image, a PIL image, or an array: uint8 or float in [0, 1], [h, w, channels] or [h, w]."""

BACKGROUND = (255, 255, 255, 255)
"""Transparent images are flattened on white, as a page or a browser would show them."""

_log = logging.getLogger(__name__)


def read(source: ImageSource, tell: Tell | None = None) -> Image.Image:
    """Decode `source` to an upright image of mode "RGB"; a new image, never a view of the caller's.

    A PNG whose checksums are wrong is refused even where its pixels could still be decoded.

    Raises:
        ImageError: it is missing, damaged, larger than `MAX_PIXELS`, no image at all, or an array whose
            type, shape or values are not those of an image.
        StorageError: the machine cannot read it: the disk is broken, too many files are open.
    """
    return Image.fromarray(read_pixels(source, RGB, tell))


def read_pixels(source: ImageSource, channels: int = RGB, tell: Tell | None = None) -> Pixels:
    """Decode `source` to upright levels [h, w, channels]; the one way in which running and training read images.

    1 is the luminance and 3 the colours of what `read` gives. Other numbers are never guessed: they are those of an
    array or .npy, of a TIFF's pages or of several files `a.png+b.png` stacked in their order, or RGBA for 4.

    `tell` gets a sentence about what looks wrong and was taken all the same; None logs it once, as a warning.

    Raises ImageError as `read` does, and where the number of channels is another.
    """
    reader = _Reader(tell or _log_once)
    parts = file_parts(source) if channels not in {GREY, RGB} else ()
    if len(parts) > 1:
        return _stacked([partial(reader.as_channels, part) for part in parts], channels, str(source))
    return reader.as_channels(source, channels)


@lru_cache(maxsize=1000)
def _log_once(sentence: str) -> None:
    _log.warning("%s", sentence)


def file_parts(source: object) -> tuple[Path, ...]:
    """Return the files of `a.png+b.png`, whose channels are stacked; of a path that exists as it is, that one alone."""
    if not isinstance(source, (str, os.PathLike)):
        return ()
    whole = os.fsdecode(source)
    parts = tuple(Path(part) for part in whole.split("+") if part)
    if len(parts) > 1 and not _is_there(Path(whole)) and all(_is_there(part) for part in parts):
        return parts
    return (Path(whole),)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that the system cannot hold
        return False


def stack(*sources: ImageSource) -> Pixels:
    """Several images of one place as one array [h, w, channels], in their order: what models of more channels take.

        bundle.translate(i2i_runtime.stack("photo.png", "depth.png"))

    Grey images add one channel, others three, arrays and .npy files what they have. Raises ImageError as `read`
    does, and where the sizes differ.
    """
    reader = _Reader(_log_once)
    return pixels.stack_channels([reader.as_channels(source, None) for source in sources], "the stack")


def _stacked(readers: list[Callable[[int | None], Pixels]], channels: int, name: str) -> Pixels:
    """Parts as one image of this many channels.

    Where all of them could be grey, or all of them colours, they are read as that; else each with its own channels.
    """
    each, rest = divmod(channels, len(readers))
    alike = each if rest == 0 and each in {GREY, RGB} else None
    return pixels.of_count(pixels.stack_channels([reader(alike) for reader in readers], name), channels, name)


@dataclass(frozen=True, slots=True)
class _Reader(SourceReader[Pixels]):
    """Reads one image; a number of channels of None stands for what the image has."""

    tell: Tell
    channels: int | None = None

    def as_channels(self, source: object, channels: int | None) -> Pixels:
        """Return an image with this many channels. Raises ImageError for several files too, where an image is one."""
        if len(file_parts(source)) > 1:
            raise ImageError(
                found=f"{source} means several files, and this model takes images of {channels} channels",
                expected="one image; several are stacked for models of more channels than 3",
                fix="give one of the files",
            )
        return replace(self, channels=channels).read(source)

    def of_array(self, array: NDArray[np.generic], name: str) -> Pixels:
        """Return its levels."""
        return _counted(pixels.of_array(array, name), self.channels, name)

    def of_npy(self, stream: IO[bytes], size: int, name: str) -> Pixels:
        """Return the levels of its array."""
        return _counted(pixels.read_npy(stream, size, name), self.channels, name)

    def of_image(self, image: Image.Image, name: str) -> Pixels:
        """Return its levels."""
        return self._levels(image, name, self.channels)

    def _levels(self, image: Image.Image, name: str, channels: int | None) -> Pixels:
        """Upright levels of an opened image; of all its pages where it is a TIFF that has to have more channels."""
        if channels is None or channels in {GREY, RGB}:
            return self._page(image, name, channels)
        if image.format == "TIFF" and (pages := _pages(image, channels)) > 1:
            return _stacked([partial(self._page_at, image, index, name) for index in range(pages)], channels, name)
        return self._page(image, name, channels)

    def _page_at(self, image: Image.Image, index: int, name: str, channels: int | None) -> Pixels:
        image.seek(index)
        check_pixel_count(image, name)
        return self._page(image, f"page {index + 1} of {name}", channels)

    def _page(self, image: Image.Image, name: str, channels: int | None) -> Pixels:
        # Pillow reduces 16-bit colours to 8 bits while it decodes; only the plan for that says so.
        is_deep = any("16" in str(part) for tile in getattr(image, "tile", ()) for part in tile[3:])
        is_negative = _is_negative(image)
        image.load()
        own = RGB if image.mode not in {"1", "L", "F"} and not image.mode.startswith("I") else GREY
        levels = _eight_bits(ImageOps.exif_transpose(image), name)
        is_whole = image.mode.startswith("I")  # with all its bits: what is black then is black
        if np.asarray(image).any() if is_whole else is_deep:
            self._tell_of_a_sliver(levels, name)
        if is_negative:
            levels = ImageOps.invert(levels)
        shown = to_srgb(levels, image.info.get("icc_profile"), name, self.tell)
        if channels == RGBA and shown.mode == "RGBA":
            return np.asarray(shown)
        flat = _on_white(shown) if shown.mode == "RGBA" else shown
        return _counted(pixels.of_image(flat, own), channels, name)

    def _tell_of_a_sliver(self, image: Image.Image, name: str) -> None:
        """16 bits of which the upper ones are not used: images of 8, 10, 12 or 14 bits come like this."""
        brightest = max(high for _, high in _extrema(image))
        if brightest <= _SLIVER:
            bits = _depth(brightest)
            self.tell(
                f"{name}: its brightest value is about {brightest / 255:.0%} of what 16 bits hold, so it is taken for "
                f"nearly black; is it data of {bits} bits? Write it over the whole range first (values times "
                f"{2 ** (16 - bits)}), for training and running alike"
            )


_PHOTOMETRIC = 262
"""The tag of a TIFF that says what its numbers mean; 0: white is zero."""

_SLIVER = 64
"""The level (of 255) that 16-bit images of 14 bits and less do not exceed."""


def _depth(brightest: int) -> int:
    """Bits of the data, from the brightest of 256 levels that 16 bits gave: 8, 10, 12 or 14."""
    return next(bits for bits in (8, 10, 12, 14) if brightest <= 2 ** (bits - 8))


def _is_negative(image: Image.Image) -> bool:
    """Whether the numbers of a TIFF are darkness: Pillow turns those of up to 8 bits over, and leaves all others."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return image.tag_v2.get(_PHOTOMETRIC) == 0 and image.mode in {"I;16", "F"}


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    found = image.convert("RGB").getextrema()
    return cast("list[tuple[int, int]]", list(found))


def _counted(levels: Pixels, channels: int | None, name: str) -> Pixels:
    return levels if channels is None else pixels.of_count(levels, channels, name)


def _pages(image: Image.Image, most: int) -> int:
    """Return the pages of a file, counted up to one more than `most`."""
    for index in range(1, most + 1):
        try:
            image.seek(index)
        except EOFError:
            image.seek(0)
            return index
    return most + 1


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return the image in one of the modes L, RGB, RGBA, CMYK and LAB, which have 8 bits a channel."""
    if image.mode.startswith("I"):
        return _from_levels(np.asarray(image), 65535.0, name)
    if image.mode == "F":
        return _from_levels(np.asarray(image), 1.0, name)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK", "LAB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGBA", image.size, BACKGROUND)
    page.alpha_composite(image)
    return page.convert("RGB")


def _from_levels(levels: NDArray[np.generic], white: float, name: str) -> Image.Image:
    """Return a grey image whose white is `white`, in 8 bits. Pillow's own conversion clips instead of scaling."""
    values = levels.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):  # also catches values that are not numbers
        raise ImageError(
            found=f"{name} holds values from {low:g} to {high:g}",
            expected=f"values from 0 to {white:g}",
            fix="write it anew as (values - LOW) / (HIGH - LOW) in 0..1, with one LOW and HIGH for all images of "
            "training and running",
        )
    return Image.fromarray(np.rint(values * np.float32(255.0 / white)).astype(np.uint8))
