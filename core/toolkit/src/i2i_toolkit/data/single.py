"""One image as the whole data set.

root                 an image, whatever its name
root/image.png     or a folder with this one image in it, and no other in it or below
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from i2i_registry.errors import LayoutError
from i2i_registry.interfaces.data import DataLayout, DataSource
from i2i_runtime.errors import ImageError
from i2i_runtime.image.folders import formats, scan_folder
from i2i_runtime.image.reading import read
from i2i_runtime.records import Record
from i2i_toolkit.data.folders import list_images
from i2i_toolkit.data.preparation import tensor_of
from i2i_toolkit.seeds import derive

R = TypeVar("R", bound=Record)
ImageSize: TypeAlias = tuple[int, int]
"""height and width, pixels"""

_EXPECTED = "one image: its file, or a folder that holds it and no other"
_SHOWN = 3
"""how many images an error names"""


@dataclass(frozen=True, slots=True)
class LearnedSize:
    """The size at which a training learns an image, and how small that may be."""

    reduced: Callable[[ImageSize], ImageSize]
    """size of an image -> size at which it is learned"""
    least: int
    """of the shorter side, pixels"""
    field: str = ""
    """the field of the Config that says so, if one does"""

    def of(self, root: Path) -> ImageSize | None:
        """Return the size at which the one image at `root` is learned; None where there is none, as `open` will say.

        Raises LayoutError when it is too small.
        """
        try:
            image = image_size(root)
        except LayoutError:
            return None
        return self.checked(find_image(root), image)

    def complete(self, config: R, root: Path) -> R:
        """Copy a Config with the `height` and `width` at which the one image at `root` is learned.

        Where there is no image it stays as it is. Raises LayoutError as `of` does.
        """
        size = self.of(root)
        return config if size is None else config.model_copy(update={"height": size[0], "width": size[1]})

    def checked(self, path: Path, image: ImageSize) -> ImageSize:
        """Return the size at which an image of this size is learned. Raises LayoutError when it is too small."""
        learned = self.reduced(image)
        if min(learned) >= self.least:
            return learned
        as_learned = "" if learned == image else f", and is learned at {learned[0]}x{learned[1]}"
        larger = "" if learned == image else ", or one of a less extreme format, or give a larger --max-size"
        named = f", which is the {self.field}" if self.field else ""
        lower = f", or --set {self.field}=... with a smaller number" if self.field else ""
        raise LayoutError(
            found=f"{path} has {image[0]}x{image[1]} pixels (height x width){as_learned}",
            expected=f"at least {self.least} on the shorter side{named}",
            fix=f"take a larger image{larger}{lower}",
        )


@dataclass(frozen=True)
class SingleImageLayout(DataLayout):
    """One image as the whole data set: its file, or a folder that holds it and no other."""

    size: ImageSize
    """height and width of an example, pixels"""
    learned: LearnedSize | None = None
    """None: the image may be of any size"""

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether there is one image that can be read."""
        try:
            return bool(image_size(root))
        except LayoutError:
            return False

    def open(self, root: Path, seed: int) -> DataSource:  # noqa: ARG002 - there is nothing to draw
        """Read the image. Raises LayoutError as `read` does."""
        return self.read(root)

    def read(self, root: Path) -> SingleImage:
        """Read the image.

        Raises LayoutError when there is none, more than one, or one that cannot be read or is too small.
        """
        image = SingleImage(root)
        if self.learned is not None:
            self.learned.checked(image.path, image.size)
        return image

    def write_example(self, root: Path) -> None:
        """Draw shapes in colours on a ramp."""
        write_single_example(root, self.size)


class SingleImage:
    """Every training sample is the same: {"image": float32 [3, h, w] in [-1, 1]}, the whole image, upright, RGB.

    Args:
        root: the image, or the folder described at the top of this file.

    Raises LayoutError when there is no image, more than one, or one that cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = find_image(root)
        self.pixels = np.asarray(_read(self.path))
        """[h, w, 3]: the image as it was decoded"""
        self._image = tensor_of(self.pixels)

    @property
    def size(self) -> ImageSize:
        """Height and width, pixels."""
        height, width = self.pixels.shape[:2]
        return height, width

    def draw(self, position: int) -> dict[str, Tensor]:  # noqa: ARG002 - of a DataSource; there is nothing to choose
        """Return the image, at every position."""
        return {"image": self._image}

    def preview(self, count: int) -> dict[str, Float[Tensor, "1 3 h w"]]:  # noqa: ARG002 - there is only one
        """Return the image with a batch axis, once, however many are asked for."""
        return {"image": self._image[None]}

    def describe(self) -> Mapping[str, int]:
        """One image."""
        return {"images": 1}


def find_image(root: Path) -> Path:
    """Return the file of the one image. Nothing is decoded.

    Raises LayoutError when `root` is not there, or is a folder without an image in it, or with several.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        found = f"{root} is neither a file nor a folder" if root.exists() else f"{root} does not exist"
        raise LayoutError(found=found, expected=_EXPECTED, fix="give the image's file")
    images = list_images(root)
    if not images:
        passed_over = scan_folder(root, arrays=True).sentence()
        raise LayoutError(
            found=f"{root} holds no image (png, jpg, webp, gif, bmp, tif, ppm)"
            + f"; {passed_over}" * bool(passed_over),
            expected=_EXPECTED,
            fix="put the image there; a file of another name is taken when it is given itself",
        )
    image, others = images[0], images[1:]
    if others:
        more = ", ..." if len(images) > _SHOWN else ""
        raise LayoutError(
            found=f"{root} holds {len(images)} images "
            f"({', '.join(str(path.relative_to(root)) for path in images[:_SHOWN])}{more})",
            expected=_EXPECTED,
            fix=f"give the file itself: {shlex.quote(str(image))}",
        )
    if image.parent != root:
        raise LayoutError(
            found=f"{root} holds no image itself; there is one below it, {image.relative_to(root)}",
            expected=_EXPECTED,
            fix=f"give the file itself: {shlex.quote(str(image))}",
        )
    return image


def image_size(root: Path) -> ImageSize:
    """Height and width of the one image, upright, in pixels.

    It is decoded for that, so that a damaged one is found now, but not again while its file stays as it is. Raises
    LayoutError as `SingleImage` does.
    """
    path = find_image(root)
    state = path.stat()
    return _size_of(path.absolute(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _size_of(path: Path, _changed: int, _size: int) -> ImageSize:
    width, height = _read(path).size
    return height, width


def _read(path: Path) -> Image.Image:
    try:
        return read(path)
    except ImageError as error:
        raise LayoutError(
            found=error.found,
            expected=error.expected or f"a whole image ({', '.join(formats())})",
            fix="open it in an image program and save it again as png, or take another image",
        ) from error


def write_single_example(root: Path, size: ImageSize) -> None:
    """Draw one image of `size` (height, width), image.png below `root`: shapes in colours on a ramp of two more."""
    root.mkdir(parents=True, exist_ok=True)
    _example(*size).save(root / "image.png")


def _example(height: int, width: int) -> Image.Image:
    generator = np.random.default_rng(derive(0, "single", height, width))
    top, bottom = generator.integers(40, 216, size=(2, 3))
    share = np.linspace(0, 1, height)[:, None, None]
    ramp = np.broadcast_to((1 - share) * top + share * bottom, (height, width, 3))
    image = Image.fromarray(np.rint(ramp).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for index in range(8):
        side = int(generator.integers(max(min(height, width) // 6, 2), max(min(height, width) // 3, 2) + 1))
        left, upper = (int(generator.integers(max(length - side, 0) + 1)) for length in (width, height))
        draw = pen.ellipse if index % 2 else pen.rectangle
        draw((left, upper, left + side - 1, upper + side - 1), fill=tuple(generator.integers(256, size=3).tolist()))
    return image
