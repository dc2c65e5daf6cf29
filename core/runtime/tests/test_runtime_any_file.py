"""Whatever is in a file, reading it gives an image or one of our errors."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from i2i_runtime.errors import ImageError
from i2i_runtime.image import reading as images

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
MUTATIONS = 40


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(PIXELS)
    match kind:
        case "npy":
            np.save(buffer, PIXELS)
        case "grey TIFF of pages":
            pages = [Image.fromarray(np.ascontiguousarray(PIXELS[:, :, index])) for index in range(3)]
            pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
        case "16-bit PNG":
            Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257).save(buffer, "PNG")
        case "palette PNG":
            image.quantize(8).save(buffer, "PNG", transparency=1)
        case "CMYK JPEG":
            image.convert("CMYK").save(buffer, "JPEG")
        case _:
            image.save(buffer, kind)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "npy", "grey TIFF of pages", "16-bit PNG")


@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("kind", [*KINDS, "palette PNG", "CMYK JPEG"])
def test_any_damage_gives_an_image_or_our_error(kind: str, channels: int) -> None:
    whole = encoded(kind)
    generator = np.random.default_rng([len(whole), channels])
    for number in range(MUTATIONS):
        data = bytearray(whole)
        # The first bytes hold what decides; every third file is cut off as well.
        reach = len(data) if number % 2 else min(len(data), 80)
        for place in generator.integers(0, reach, 1 + number % 5).tolist():
            data[place] = int(generator.integers(256))
        if number % 3 == 0:
            data = data[: int(generator.integers(0, len(data) + 1))]
        with suppress(ImageError):
            found = images.read_pixels(bytes(data), channels, tell=[].append)
            assert (found.dtype, found.shape[2]) == (np.uint8, channels)
