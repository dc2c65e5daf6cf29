"""Opening of images in every form that a caller may pass, with every check that comes before their pixels."""

from __future__ import annotations

import errno
import os
import struct
import threading
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.errors import ImageError, StorageError
from i2i_runtime.files.regular import open_regular
from i2i_runtime.image import pixels
from i2i_runtime.image.folders import INSTALL, formats
from i2i_runtime.image.pixels import MAX_PIXELS, NPY_MAGIC, RGB
from i2i_runtime.type_guards import is_path

T = TypeVar("T")

_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise for damaged files; a handler that knows only OSError misses most of it."""

_MACHINE = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ETIMEDOUT})
"""Numbers of system errors that say nothing about an image."""

_BEGINNING = 16
"""Bytes that tell the format."""
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Pillow reports some damage as Python warnings, and the only way to keep those from the application changes
# process-wide state; so decoding takes turns.
_decoder = threading.Lock()


class SourceReader(ABC, Generic[T]):
    """Reads something of an image in whichever form it is passed: a path, bytes, a PIL image or an array."""

    __slots__ = ()

    @abstractmethod
    def of_array(self, array: NDArray[np.generic], name: str) -> T:
        """Read an array of any shape and type."""

    @abstractmethod
    def of_npy(self, stream: IO[bytes], size: int, name: str) -> T:
        """Read a .npy file of `size` bytes."""

    @abstractmethod
    def of_image(self, image: Image.Image, name: str) -> T:
        """Read an image of at most `MAX_PIXELS`, which may not be decoded yet."""

    def read(self, source: object) -> T:
        """Read what a caller passed.

        Raises ImageError for what is missing, damaged, too large or no image, StorageError where the machine fails.
        """
        if pixels.is_array(source):
            return self.of_array(source, "an array")
        if isinstance(source, Image.Image):
            with decoding("the PIL image"):
                check_pixel_count(source, "the PIL image")
                return self.of_image(source, "the PIL image")
        if isinstance(source, bytes):
            return self._of_stream(BytesIO(source), len(source), f"the image of {len(source)} bytes")
        if is_path(source):
            return self._of_file(Path(os.fsdecode(source)))
        raise ImageError(
            found=f"an image given as {type(source).__name__}",
            expected="a path, bytes, a PIL image, or a NumPy array",
        )

    def _of_file(self, path: Path) -> T:
        try:
            with open_regular(path) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size == 0:
                    raise ImageError(found=f"{path} is empty (0 bytes)", expected="an image file")
                return self._of_stream(stream, size, str(path))
        except FileNotFoundError as error:
            raise ImageError(found=f"{path} does not exist", expected="an image file") from error
        except IsADirectoryError as error:
            raise ImageError(found=f"{path} is a folder", expected="an image file") from error
        except (OSError, ValueError) as error:  # no permission, a pipe; a name that the system cannot hold
            _raise_if_of_the_machine(error, str(path))
            why = error.strerror or error if isinstance(error, OSError) else error
            raise ImageError(found=f"{path} cannot be read: {why}", expected="an image file") from error

    def _of_stream(self, stream: IO[bytes], size: int, name: str) -> T:
        with decoding(name):
            beginning = stream.read(_BEGINNING)
            stream.seek(0)
            _check_is_built_in(beginning, name)
            if beginning.startswith(NPY_MAGIC):
                return self.of_npy(stream, size, name)
            with _opened(stream, beginning, name) as image:
                check_pixel_count(image, name)
                if image.format != "PNG":
                    return self.of_image(image, name)
                image.verify()  # reads every checksum, and leaves the image unusable
            stream.seek(0)
            with Image.open(stream, formats=formats()) as image:
                return self.of_image(image, name)


def _check_is_built_in(beginning: bytes, name: str) -> None:
    """Raise ImageError for images of a format that is not here, and says what brings it."""
    if beginning[4:8] != b"ftyp":
        return
    brand = beginning[8:12]
    file_format = "AVIF" if brand in _AVIF_BRANDS else "HEIF" if brand in _HEIF_BRANDS else ""
    if file_format and file_format not in formats():
        shown = "HEIC" if file_format == "HEIF" else file_format
        raise ImageError(
            found=f"{name} is an image in {shown}, which is not read here",
            expected=", ".join(formats()),
            fix=INSTALL[file_format],
        )


def _opened(stream: IO[bytes], beginning: bytes, name: str) -> Image.Image:
    """Return the image, nothing of it decoded yet.

    Raises ImageError for a TIFF of numbers that no decoder here knows.
    """
    try:
        return Image.open(stream, formats=formats())
    except Image.UnidentifiedImageError as error:
        if not beginning.startswith(_TIFF_STARTS):
            raise
        raise ImageError(
            found=f"{name} is a TIFF of a kind that is not read here, or its header is damaged",
            expected="8 or 16 bits a channel, or one channel of 32-bit floats in 0..1",
            fix="write it so, or as a .npy of [h, w, channels]: uint8 in 0..255, or float in 0..1",
        ) from error


def _raise_if_of_the_machine(error: Exception, name: str) -> None:
    """Raise StorageError for what is no fault of an image."""
    if isinstance(error, OSError) and error.errno in _MACHINE:
        raise StorageError(found=f"{name} cannot be read: {error.strerror}") from error


@contextmanager
def decoding(name: str) -> Generator[None]:
    """Turn whatever a decoder raises into an ImageError about `name`, and keep its warnings from the caller."""
    with _decoder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Image.UnidentifiedImageError as error:
            raise ImageError(
                found=f"{name} is not an image, or its header is damaged",
                expected=", ".join(formats()),
            ) from error
        except Image.DecompressionBombError as error:
            raise ImageError(
                found=f"{name} claims too many pixels: {error}", expected=f"at most {MAX_PIXELS:,} pixels"
            ) from error
        except _DAMAGE as error:
            _raise_if_of_the_machine(error, name)
            raise ImageError(found=f"{name} is damaged: {error}", expected="a whole image") from error


def check_pixel_count(image: Image.Image, name: str) -> None:
    """Raise ImageError for more pixels than `MAX_PIXELS`, before any is decoded."""
    width, height = image.size
    pixels.check_levels(height, width, RGB, name)
