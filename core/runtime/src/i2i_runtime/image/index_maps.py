"""Images whose numbers are names: label maps and instance maps, read as they are and never converted."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from i2i_runtime.errors import ImageError
from i2i_runtime.files.regular import open_regular
from i2i_runtime.image.folders import formats
from i2i_runtime.image.reading import check_pixel_count, decoding

_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})
"""Pillow's modes of one whole number per pixel; of an image with a palette it is the index"""


def read_index_map(path: str | os.PathLike[str]) -> NDArray[np.int32]:
    """Decode the numbers [h, w] of an image of one channel, upright: levels, or indices into its palette.

    Raises ImageError when it is missing, damaged, larger than `MAX_PIXELS`, or has colours or fractions.
    """
    source = Path(path)
    try:
        with open_regular(source) as stream:
            content = stream.read()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ImageError(found=f"{source} cannot be read: {why}", expected="a label map") from error
    with decoding(str(source)):
        with Image.open(BytesIO(content), formats=formats()) as image:
            check_pixel_count(image, str(source))
            if image.mode not in _MODES:
                raise ImageError(
                    found=f"{source} is an image of mode {image.mode}",
                    expected="one whole number per pixel: grey of 8 or 16 bits, or a palette",
                    fix="save the number of each class instead of its colour, as a grey PNG",
                )
            if image.format == "PNG":
                image.verify()  # reads every checksum, and leaves the image unusable
        with Image.open(BytesIO(content), formats=formats()) as image:
            return np.asarray(ImageOps.exif_transpose(image)).astype(np.int32)
