"""Images as files: encoded in the format of their name, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_runtime.errors import StorageError, UsageError, nearest
from i2i_runtime.files.atomic import atomic_write
from i2i_runtime.image import pixels
from i2i_runtime.image.folders import ARRAY_SUFFIX
from i2i_runtime.image.pixels import Pixels

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


def encode(image: Image.Image | Pixels, file_format: str = "PNG") -> bytes:
    """Return the image as the bytes of a file of this Pillow format.

    Of an array with a number of channels that no image has, each channel becomes a page, which takes TIFF. Raises
    UsageError for another format.
    """
    whole = image if isinstance(image, Image.Image) else pixels.to_pillow(image)
    buffer = BytesIO()
    if whole is not None:
        whole.save(buffer, format=file_format, **_SAVE_OPTIONS.get(file_format, {}))
        return buffer.getvalue()
    levels = np.asarray(image)
    if file_format != "TIFF":
        raise UsageError(
            found=f"an image of {levels.shape[2]} channels as {file_format}, which holds 1, 3 or 4",
            expected="a file that holds any number of channels: .npy, or .tif with a page for each",
            fix="-o out.tif, or -o out.npy",
        )
    first, *rest = [Image.fromarray(np.ascontiguousarray(levels[:, :, index])) for index in range(levels.shape[2])]
    first.save(buffer, format="TIFF", save_all=True, append_images=rest)
    return buffer.getvalue()


def encode_npy(image: Image.Image | Pixels) -> bytes:
    """Return the image as a .npy file: uint8 [h, w, channels]."""
    levels = np.asarray(image, dtype=np.uint8)
    buffer = BytesIO()
    np.save(buffer, levels if levels.ndim > 2 else levels[:, :, None], allow_pickle=False)  # noqa: PLR2004 - grey
    return buffer.getvalue()


def save_image(image: Image.Image | Pixels, path: str | os.PathLike[str]) -> Path:
    """Write the image in the format of the extension; at every moment `path` holds a whole file or the old one.

    Raises:
        UsageError: the extension is not one of `SAVE_FORMATS` or .npy, or its format cannot hold such an image.
        StorageError: the file cannot be written (folder missing, disk full ...); nothing is left behind.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in {*SAVE_FORMATS, ARRAY_SUFFIX}:
        raise UsageError(
            found=f"{target} ends in {target.suffix!r}", expected=nearest(suffix, [*SAVE_FORMATS, ARRAY_SUFFIX])
        )
    try:
        data = encode_npy(image) if suffix == ARRAY_SUFFIX else encode(image, SAVE_FORMATS[suffix])
        target.parent.stat()  # a folder that is missing is the caller's to make
        with atomic_write(target) as part:
            part.write_bytes(data)
    except (OSError, ValueError) as error:  # ValueError: a side that the format cannot have
        if isinstance(error, ValueError):
            raise UsageError(found=f"{target} cannot be written: {error}", fix="-o out.png takes any size") from error
        raise StorageError(found=f"{target} cannot be written: {error}") from error
    return target
