"""Pictures in and out: safe decoding to upright 8-bit RGB, encoding, atomic saving, and listing a folder.

What decoding promises, whatever the file: the pixels a person sees, as RGB, 8 bits a channel, turned upright.
16-bit pictures are scaled (65535 becomes 255), float ones are read as 0..1, transparency is flattened on white,
of several frames or pages the first is taken, and the content decides the format, never the name.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import warnings
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from i2i_runtime.errors import PictureError, UsageError, nearest

PictureSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]
"""A path, an encoded picture, a PIL picture, or an array: uint8 or float in [0, 1], [h, w, 3] or [h, w]."""

MAX_PIXELS = 100_000_000
"""Largest picture decoded (300 MB as RGB). Refused from the header, before anything is decoded."""

BACKGROUND = (255, 255, 255, 255)
"""Transparent pictures are flattened on white, as a page or a browser would show them."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Formats that start other programs (EPS) or are rarely exercised are left out on purpose."""

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
"""What counts as a picture when a folder is listed; case is ignored."""

SAVE_FORMATS: Mapping[str, str] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}

_SAVE_OPTIONS: Mapping[str, Mapping[str, int]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
}

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

# Pillow reports some damage as Python warnings, and the only way to keep those from the application changes
# process-wide state; so decoding takes turns.
_decoder = threading.Lock()


def read(source: PictureSource) -> Image.Image:
    """Decode `source` to an upright picture of mode "RGB"; a new picture, never a view of the caller's.

    A PNG whose checksums are wrong is refused even where its pixels could still be decoded.

    Raises:
        PictureError: it is missing, damaged, larger than `MAX_PIXELS`, no picture at all, or an array whose
            type, shape or values are not those of a picture.
    """
    if isinstance(source, np.ndarray):
        return from_array(source)
    if isinstance(source, Image.Image):
        with _decoding("the PIL picture"):
            _check_size(source, "the PIL picture")
            return _upright_rgb(source, "the PIL picture")
    if isinstance(source, bytes):
        return _decode(BytesIO(source), f"the picture of {len(source)} bytes")
    return _read_file(source)


def _read_file(source: object) -> Image.Image:
    if not isinstance(source, (str, os.PathLike)):
        raise PictureError(
            found=f"a picture given as {type(source).__name__}",
            expected="a path, bytes, a PIL picture, or a NumPy array",
        )
    path = Path(os.fsdecode(source))
    try:
        if path.is_dir():
            raise PictureError(found=f"{path} is a folder", expected="a picture file")
        if not path.is_file():
            raise PictureError(found=f"{path} does not exist" if not path.exists() else f"{path} is not a file")
        if path.stat().st_size == 0:
            raise PictureError(found=f"{path} is empty (0 bytes)", expected="a picture file")
        with path.open("rb") as stream:
            return _decode(stream, str(path))
    except (OSError, ValueError) as error:  # no permission; a name that the system cannot hold
        raise PictureError(found=f"{path} cannot be read: {error}") from error


def _decode(stream: IO[bytes], name: str) -> Image.Image:
    with _decoding(name):
        with Image.open(stream, formats=FORMATS) as image:
            _check_size(image, name)
            if image.format != "PNG":
                return _upright_rgb(image, name)
            image.verify()  # reads every checksum, and leaves the picture unusable
        stream.seek(0)
        with Image.open(stream, formats=FORMATS) as image:
            return _upright_rgb(image, name)


@contextmanager
def _decoding(name: str) -> Generator[None]:
    """Turn whatever a decoder raises into a PictureError about `name`, and keep its warnings from the caller."""
    with _decoder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Image.UnidentifiedImageError as error:
            raise PictureError(
                found=f"{name} is not a picture, or its header is damaged",
                expected=", ".join(FORMATS),
            ) from error
        except Image.DecompressionBombError as error:
            raise PictureError(
                found=f"{name} claims too many pixels: {error}", expected=f"at most {MAX_PIXELS:,} pixels"
            ) from error
        except _DAMAGE as error:
            raise PictureError(found=f"{name} is damaged: {error}", expected="a whole picture") from error


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            found=f"{name} claims {width}x{height} pixels", expected=f"at most {MAX_PIXELS:,} pixels in all"
        )


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _from_levels(np.asarray(upright), 65535.0, name)
    if upright.mode == "F":
        return _from_levels(np.asarray(upright), 1.0, name)
    if upright.has_transparency_data:
        page = Image.new("RGBA", upright.size, BACKGROUND)
        page.alpha_composite(upright.convert("RGBA"))
        return page.convert("RGB")
    return upright.convert("RGB")


def _from_levels(levels: NDArray[np.generic], white: float, name: str) -> Image.Image:
    """A grey picture whose white is `white`, as 8-bit RGB. Pillow's own conversion clips instead of scaling."""
    values = levels.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):  # also catches values that are not numbers
        raise PictureError(
            found=f"{name} holds values from {low:g} to {high:g}", expected=f"values from 0 to {white:g}"
        )
    grey = np.rint(values * np.float32(255.0 / white)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def from_array(array: NDArray[np.generic]) -> Image.Image:
    """A picture of mode "RGB" from [h, w, 3] or [h, w]: uint8, or float in [0, 1] (rounded to 8 bits).

    Raises PictureError for any other type, shape or range.
    """
    rgb_channels = 3
    if array.ndim not in {2, 3} or (array.ndim == rgb_channels and array.shape[2] != rgb_channels) or 0 in array.shape:
        raise PictureError(
            found=f"an array of shape {array.shape}",
            expected="[h, w, 3] or [h, w] for one picture",
            fix="drop alpha with a[..., :3]; channels first: a.transpose(1, 2, 0); several pictures: list(a)",
        )
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    if not np.issubdtype(array.dtype, np.floating):
        raise PictureError(
            found=f"an array of {array.dtype}",
            expected="uint8 in 0..255, or float in 0..1",
            fix="16 bits: (a / 65535).astype('float32')",
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise PictureError(
            found=f"a float array with values from {low:g} to {high:g}",
            expected="values from 0 to 1",
            fix="0..255: a / 255; -1..1: (a + 1) / 2",
        )
    return Image.fromarray(np.rint(array.astype(np.float32) * np.float32(255)).astype(np.uint8)).convert("RGB")


def encode(picture: Image.Image, file_format: str = "PNG") -> bytes:
    """The picture as the bytes of a file of this Pillow format."""
    buffer = BytesIO()
    picture.save(buffer, format=file_format, **_SAVE_OPTIONS.get(file_format, {}))
    return buffer.getvalue()


def save(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Write the picture in the format of the extension; at every moment `path` holds a whole file or the old one.

    Raises:
        UsageError: the extension is not one of `SAVE_FORMATS`.
        PictureError: the file cannot be written (folder missing, disk full ...); nothing is left behind.
    """
    target = Path(path)
    file_format = SAVE_FORMATS.get(target.suffix.lower())
    if file_format is None:
        raise UsageError(
            found=f"{target} ends in {target.suffix!r}", expected=nearest(target.suffix.lower(), SAVE_FORMATS)
        )
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(encode(picture, file_format))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except (OSError, ValueError) as error:  # ValueError: a side that the format cannot have
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise PictureError(found=f"{target} cannot be written: {error}") from error
    return target


@dataclass(frozen=True, slots=True)
class Listing:
    """The picture files below a folder, in a fixed order, and how many others were passed over."""

    pictures: tuple[Path, ...]
    hidden: int
    """files and folders whose name starts with a dot"""
    other: int
    """files without the extension of a picture"""


def scan_folder(root: str | os.PathLike[str]) -> Listing:
    """List the pictures below `root` by extension, sorted by path; links to folders are not followed.

    Raises UsageError when `root` is not a folder. Nothing is opened: damaged files are found when they are read.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(found=f"{folder} is not a folder" if folder.exists() else f"{folder} does not exist")
    pictures: list[Path] = []
    hidden = other = 0
    for where, folders, files in os.walk(folder):
        hidden += sum(name.startswith(".") for name in (*folders, *files))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(where, name) for name in files if not name.startswith(".")):
            if path.suffix.lower() in EXTENSIONS and path.is_file():
                pictures.append(path)
            else:
                other += 1
    return Listing(tuple(sorted(pictures)), hidden, other)
