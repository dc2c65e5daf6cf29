"""From the tensors an operation gives to what the caller gets: the same kind of image that went in."""

from __future__ import annotations

import os
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.call.heatmaps import coloured
from i2i_runtime.errors import ImageError
from i2i_runtime.image import fitting, pixels
from i2i_runtime.image.fitting import ResizedImage
from i2i_runtime.image.pixels import is_array
from i2i_runtime.image.writing import encode
from i2i_runtime.schema.operations import HeatmapOutput, ImageOutput, Output

Value: TypeAlias = Image.Image | bytes | NDArray[np.generic]
"""One output of one item: an image of the caller's kind, or the array of a vector output."""


class ResultKind(Enum):
    """How images are handed back."""

    PIL = "a PIL image, for paths and PIL images; an array where the channels are not 1, 3 or 4"
    ENCODED = "the bytes of a PNG file, for bytes; of a TIFF with a page for each channel where they are others"
    LEVELS = "uint8 in 0..255, for integer arrays"
    UNIT = "float32 in 0..1, for float arrays"


def kind_of(source: object) -> ResultKind:
    """Return the kind a result has for this input. Raises ImageError for what cannot be an image."""
    if is_array(source):
        return ResultKind.UNIT if np.issubdtype(source.dtype, np.floating) else ResultKind.LEVELS
    if isinstance(source, bytes):
        return ResultKind.ENCODED
    if isinstance(source, (str, os.PathLike, Image.Image)):
        return ResultKind.PIL
    raise ImageError(
        found=f"an image given as {type(source).__name__}",
        expected="a path, bytes, a PIL image, a NumPy array, or a list of them",
    )


def finish(output: Output, tensor: NDArray[np.generic], fitted: ResizedImage | None, kind: ResultKind) -> Value:
    """One output of one item, tensor without batch axis; padding is cut where `fitted` put some."""
    if isinstance(output, ImageOutput):
        return _image(output, tensor.astype(np.float32), fitted, kind)
    if isinstance(output, HeatmapOutput):
        return _as_kind(coloured(tensor.astype(np.float32), fitted, unit=kind is ResultKind.UNIT), kind)
    return tensor


def _image(output: ImageOutput, tensor: NDArray[np.float32], fitted: ResizedImage | None, kind: ResultKind) -> Value:
    convert = fitting.to_unit if kind is ResultKind.UNIT else fitting.tensor_to_image
    result: NDArray[np.generic] = convert(tensor, output.value_range)
    if fitted is not None:
        result = fitted.crop(result)
    return _as_kind(result, kind)


def _as_kind(result: NDArray[np.generic], kind: ResultKind) -> Value:
    if kind in {ResultKind.LEVELS, ResultKind.UNIT}:
        return np.ascontiguousarray(result)
    levels = result.astype(np.uint8, copy=False)
    image = pixels.to_pillow(levels)
    if kind is ResultKind.ENCODED:
        return encode(levels, "TIFF" if image is None else "PNG")
    return levels if image is None else image
