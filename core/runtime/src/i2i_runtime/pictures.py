"""Pictures in and out: safe decoding to upright 8-bit RGB, encoding, atomic saving, and listing a folder.

What decoding promises, whatever the file: the pixels a person sees, as RGB, 8 bits a channel, turned upright.
16-bit pictures are scaled (65535 becomes 255), float ones are read as 0..1, transparency is flattened on white,
of several frames or pages the first is taken, and the content decides the format, never the name.

Where a model takes another number of channels than 1 or 3 (`read_pixels`), a picture is an array [h, w, channels]:
a .npy file, the pages of a TIFF or several files `a.png+b.png` stacked, or the four channels of an RGBA picture.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from i2i_runtime import pixels
from i2i_runtime.errors import PictureError, UsageError, nearest
from i2i_runtime.pixels import GREY, NPY_MAGIC, RGB, RGBA, Pixels

# Under this name it is part of this module's face.
from i2i_runtime.pixels import MAX_PIXELS as MAX_PIXELS  # noqa: PLC0414

T = TypeVar("T")

PictureSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]
"""A path, an encoded picture, a PIL picture, or an array: uint8 or float in [0, 1], [h, w, channels] or [h, w]."""

BACKGROUND = (255, 255, 255, 255)
"""Transparent pictures are flattened on white, as a page or a browser would show them."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Formats that start other programs (EPS) or are rarely exercised are left out on purpose."""

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
"""What counts as a picture when a folder is listed; case is ignored."""

ARRAY_SUFFIX = ".npy"
"""Of files that hold an array: pictures of any number of channels, and numbers."""

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
    return Image.fromarray(read_pixels(source, RGB))


def read_pixels(source: PictureSource, channels: int = RGB) -> Pixels:
    """Decode `source` to upright levels [h, w, channels]; the one way in which running and training read pictures.

    1 is the luminance and 3 the colours of what `read` gives. Other numbers are never guessed: they are those of an
    array or .npy, of a TIFF's pages or of several files `a.png+b.png` stacked in their order, or RGBA for 4.

    Raises PictureError as `read` does, and where the number of channels is another.
    """
    if isinstance(source, np.ndarray):
        return pixels.of_count(pixels.of_array(source), channels, "an array")
    if isinstance(source, Image.Image):
        with _decoding("the PIL picture"):
            _check_size(source, "the PIL picture")
            return _levels(source, "the PIL picture", channels)
    if isinstance(source, bytes):
        return _decode(BytesIO(source), len(source), f"the picture of {len(source)} bytes", channels)
    parts = file_parts(source) if channels not in {GREY, RGB} else ()
    if len(parts) > 1:
        return _stacked([partial(_read_file, part) for part in parts], channels, str(source))
    return _read_file(source, channels)


def file_parts(source: object) -> tuple[Path, ...]:
    """The files of `a.png+b.png`, whose channels are stacked; of a path that exists as it is, that one alone."""
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


def stack(*sources: PictureSource) -> Pixels:
    """Several pictures of one place as one array [h, w, channels], in their order: what models of more channels take.

        bundle.translate(i2i_runtime.stack("photo.png", "depth.png"))

    Grey pictures add one channel, others three, arrays and .npy files what they have. Raises PictureError as `read`
    does, and where the sizes differ.
    """
    return pixels.stack([_own(source) for source in sources], "the stack")


def _own(source: PictureSource) -> Pixels:
    if isinstance(source, np.ndarray):
        return pixels.of_array(source)
    if isinstance(source, Image.Image):
        with _decoding("the PIL picture"):
            _check_size(source, "the PIL picture")
            return _page(source, "the PIL picture", None)
    if isinstance(source, bytes):
        return _decode(BytesIO(source), len(source), f"the picture of {len(source)} bytes", None)
    return _read_file(source, None)


def _stacked(readers: list[Callable[[int | None], Pixels]], channels: int, name: str) -> Pixels:
    """Parts as one picture of this many channels.

    Where all of them could be grey, or all of them colours, they are read as that; else each with its own channels.
    """
    each, rest = divmod(channels, len(readers))
    alike = each if rest == 0 and each in {GREY, RGB} else None
    return pixels.of_count(pixels.stack([reader(alike) for reader in readers], name), channels, name)


def _read_file(source: object, channels: int | None) -> Pixels:
    """None: with the channels that the file has."""
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
        size = path.stat().st_size
        if size == 0:
            raise PictureError(found=f"{path} is empty (0 bytes)", expected="a picture file")
        with path.open("rb") as stream:
            return _decode(stream, size, str(path), channels)
    except (OSError, ValueError) as error:  # no permission; a name that the system cannot hold
        raise PictureError(found=f"{path} cannot be read: {error}") from error


def _decode(stream: IO[bytes], size: int, name: str, channels: int | None) -> Pixels:
    with _decoding(name):
        is_array = stream.read(len(NPY_MAGIC)) == NPY_MAGIC
        stream.seek(0)
        if is_array:
            levels = pixels.read_npy(stream, size, name)
            return levels if channels is None else pixels.of_count(levels, channels, name)
        with Image.open(stream, formats=FORMATS) as image:
            _check_size(image, name)
            if image.format != "PNG":
                return _levels(image, name, channels)
            image.verify()  # reads every checksum, and leaves the picture unusable
        stream.seek(0)
        with Image.open(stream, formats=FORMATS) as image:
            return _levels(image, name, channels)


def _levels(image: Image.Image, name: str, channels: int | None) -> Pixels:
    """Upright levels of an opened picture; of all its pages where it is a TIFF that has to have more channels."""
    if channels is None or channels in {GREY, RGB}:
        return _page(image, name, channels)
    if image.format == "TIFF" and (pages := _pages(image, channels)) > 1:
        return _stacked([partial(_page_at, image, index, name) for index in range(pages)], channels, name)
    if channels == RGBA and image.has_transparency_data:
        image.load()
        return np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    return pixels.of_count(_page(image, name, None), channels, name)


def _pages(image: Image.Image, most: int) -> int:
    """The pages of a file, counted up to one more than `most`."""
    for index in range(1, most + 1):
        try:
            image.seek(index)
        except EOFError:
            return index
    return most + 1


def _page_at(image: Image.Image, index: int, name: str, channels: int | None) -> Pixels:
    image.seek(index)
    _check_size(image, name)
    return _page(image, f"page {index + 1} of {name}", channels)


def _page(image: Image.Image, name: str, channels: int | None) -> Pixels:
    rgb = _upright_rgb(image, name)
    own = GREY if image.mode in {"1", "L"} or image.mode.startswith(("I", "F")) else RGB
    return pixels.of_picture(rgb, channels or own)


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
    pixels.check_levels(height, width, RGB, name)


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


def encode(picture: Image.Image | Pixels, file_format: str = "PNG") -> bytes:
    """The picture as the bytes of a file of this Pillow format.

    Of an array with a number of channels that no picture has, each channel becomes a page, which takes TIFF. Raises
    UsageError for another format.
    """
    whole = picture if isinstance(picture, Image.Image) else pixels.to_picture(picture)
    buffer = BytesIO()
    if whole is not None:
        whole.save(buffer, format=file_format, **_SAVE_OPTIONS.get(file_format, {}))
        return buffer.getvalue()
    levels = np.asarray(picture)
    if file_format != "TIFF":
        raise UsageError(
            found=f"a picture of {levels.shape[2]} channels as {file_format}, which holds 1, 3 or 4",
            expected="a file that holds any number of channels: .npy, or .tif with a page for each",
            fix="-o out.tif, or -o out.npy",
        )
    first, *rest = [Image.fromarray(np.ascontiguousarray(levels[:, :, index])) for index in range(levels.shape[2])]
    first.save(buffer, format="TIFF", save_all=True, append_images=rest)
    return buffer.getvalue()


def encode_npy(picture: Image.Image | Pixels) -> bytes:
    """The picture as a .npy file: uint8 [h, w, channels]."""
    levels = np.asarray(picture, dtype=np.uint8)
    buffer = BytesIO()
    np.save(buffer, levels if levels.ndim > 2 else levels[:, :, None], allow_pickle=False)  # noqa: PLR2004 - grey
    return buffer.getvalue()


def save(picture: Image.Image | Pixels, path: str | os.PathLike[str]) -> Path:
    """Write the picture in the format of the extension; at every moment `path` holds a whole file or the old one.

    Raises:
        UsageError: the extension is not one of `SAVE_FORMATS` or .npy, or its format cannot hold so many channels.
        PictureError: the file cannot be written (folder missing, disk full ...); nothing is left behind.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in {*SAVE_FORMATS, ARRAY_SUFFIX}:
        raise UsageError(
            found=f"{target} ends in {target.suffix!r}", expected=nearest(suffix, [*SAVE_FORMATS, ARRAY_SUFFIX])
        )
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        data = encode_npy(picture) if suffix == ARRAY_SUFFIX else encode(picture, SAVE_FORMATS[suffix])
        with part.open("xb") as stream:
            stream.write(data)
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
