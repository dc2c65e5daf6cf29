"""The colours a person sees: profiles are applied by closed forms, what cannot be is told, and dark data are named."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from i2i_runtime.image import colour_profiles as colours
from i2i_runtime.image import reading as images
from i2i_runtime.image.pixels import Pixels

CASES = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "cases" / "field"
D50 = (0.9642, 1.0, 0.8249)
GAMMA = 2.2

WIDE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
"""Columns: what red, green and blue of Adobe RGB (1998) are in XYZ at D50."""
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
"""The same of sRGB: IEC 61966-2-1, adapted to D50."""


def profile(space: bytes, pcs: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 with these tags, as ICC.1:2001-04 lays it out."""
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02100000, kind, space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _fixed(D50)
    return header.ljust(128, b"\0") + table + body


def _fixed(numbers: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _texts() -> dict[bytes, bytes]:
    name = b"made for a test\0"
    description = b"desc" + b"\0" * 4 + struct.pack(">I", len(name)) + name + b"\0" * 78
    return {b"desc": description, b"cprt": b"text" + b"\0" * 4 + b"none\0"}


def _xyz(numbers: tuple[float, ...]) -> bytes:
    return b"XYZ " + b"\0" * 4 + _fixed(numbers)


def wide_profile() -> bytes:
    """RGB with the primaries of `WIDE` and a gamma."""
    curve = b"curv" + b"\0" * 4 + struct.pack(">IH", 1, round(GAMMA * 256))
    primaries = {name: _xyz(tuple(WIDE[:, index])) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags = {**_texts(), b"wtpt": _xyz(D50), **primaries, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return profile(b"RGB ", b"XYZ ", b"mntr", tags)


def press_profile() -> bytes:
    """CMYK whose cyan looks like grey of L* = 50, and whose black is black; the others change nothing."""
    # Of the corners in the order C, M, Y, K; K fastest.
    lightness = [0 if corner & 1 else 128 if corner & 8 else 255 for corner in range(16)]
    table = bytes(value for level in lightness for value in (level, 128, 128))
    ramp = bytes(range(256))
    lut = b"mft1" + b"\0" * 4 + bytes([4, 3, 2, 0]) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1)) + ramp * 4 + table + ramp * 3
    return profile(b"CMYK", b"Lab ", b"prtr", {**_texts(), b"wtpt": _xyz(D50), b"A2B0": lut})


def grey_profile() -> bytes:
    curve = b"curv" + b"\0" * 4 + struct.pack(">IH", 1, 256)  # linear light
    return profile(b"GRAY", b"XYZ ", b"mntr", {**_texts(), b"wtpt": _xyz(D50), b"kTRC": curve})


def srgb_of(wide: Pixels) -> NDArray[np.float64]:
    """The textbook way: gamma off, through XYZ, and the curve of IEC 61966-2-1; levels."""
    light = (wide / 255.0) ** GAMMA @ (np.linalg.inv(SRGB) @ WIDE).T
    return encoded(light)


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def file_of(image: Image.Image, file_format: str, icc: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, icc_profile=icc)
    return buffer.getvalue()


COLOURS = np.random.default_rng(0).integers(30, 226, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_a_profile_is_applied_as_its_definition_says(file_format: str) -> None:
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    buffer = io.BytesIO()
    Image.fromarray(COLOURS).save(buffer, file_format, icc_profile=wide_profile(), **lossless)  # pyright: ignore[reportArgumentType]
    found = images.read_pixels(buffer.getvalue())
    assert np.abs(found - srgb_of(COLOURS)).max() <= 1.5
    assert np.abs(found.astype(int) - COLOURS).max() > 20  # unread, it would be another image
    with Image.open(buffer) as opened:
        np.testing.assert_array_equal(images.read_pixels(opened), found)


def test_transparency_stays_beside_colours_that_change() -> None:
    image = Image.fromarray(COLOURS)
    image.putalpha(Image.linear_gradient("L").resize((16, 16)))
    found = images.read_pixels(file_of(image, "PNG", wide_profile()), 4)
    np.testing.assert_array_equal(found[:, :, 3], np.asarray(image)[:, :, 3])
    assert np.abs(found[:, :, :3] - srgb_of(COLOURS)).max() <= 1.5


def test_cmyk_is_read_by_its_own_profile() -> None:
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    data = file_of(inks, "TIFF", press_profile())
    luminance = ((50 + 16) / 116) ** 3  # CIE 1976: Y of L* = 50
    expected = encoded(np.array(luminance))
    assert np.abs(images.read_pixels(data).astype(float) - expected).max() <= 2
    plain = io.BytesIO()
    inks.save(plain, "TIFF")
    assert np.ptp(images.read_pixels(plain.getvalue())[0, 0]) > 200  # unread, it is a colour


def test_grey_with_a_profile_stays_grey_and_changes_its_tones() -> None:
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (4, 1))
    found = images.read_pixels(file_of(Image.fromarray(ramp), "PNG", grey_profile()), 1)
    assert np.abs(found[:, :, 0] - encoded(ramp / 255.0)).max() <= 1.5


def test_srgb_under_whatever_name_leaves_every_level_alone() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(images.read_pixels(file_of(Image.fromarray(COLOURS), "PNG", icc)), COLOURS)


@pytest.mark.parametrize(
    "icc",
    [
        b"no profile at all",
        wide_profile()[:200],
        grey_profile(),
        press_profile(),
        b"x" * (colours.MAX_PROFILE_BYTES + 1),
    ],
    ids=["noise", "truncated", "for grey", "for inks", "too large"],
)
def test_a_profile_that_cannot_be_used_is_ignored_and_told(icc: bytes) -> None:
    image = Image.fromarray(COLOURS)
    image.info["icc_profile"] = icc
    told: list[str] = []
    np.testing.assert_array_equal(images.read_pixels(image, tell=told.append), COLOURS)
    assert len(told) == 1
    assert "colour profile" in told[0]


def test_random_damage_of_a_profile_gives_an_image() -> None:
    whole, generator = bytearray(wide_profile()), np.random.default_rng(1)
    image = Image.fromarray(COLOURS)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(damaged), 4).tolist():
            damaged[place] = int(generator.integers(256))
        image.info["icc_profile"] = bytes(damaged[: int(generator.integers(1, len(damaged) + 1))])
        assert images.read_pixels(image, tell=[].append).shape == COLOURS.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_16_bits_of_which_a_sliver_is_used_are_told_and_the_advice_works(bits: int, channels: int) -> None:
    values = np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8, 1).repeat(channels, axis=2)
    told: list[str] = []
    images.read_pixels(png16(values), tell=told.append)
    assert len(told) == 1
    assert f"{bits} bits" in told[0]
    factor = int(told[0].partition("times ")[2].partition(")")[0])
    brighter = images.read_pixels(png16(values * np.uint16(factor)), tell=told.append)
    assert len(told) == 1
    assert brighter.max() >= 254


def test_classes_in_16_bits_are_told_and_black_is_not() -> None:
    told: list[str] = []
    images.read_pixels(png16(np.array([[[0], [40]]], np.uint16)), tell=told.append)
    assert len(told) == 1
    images.read_pixels(png16(np.zeros((2, 2, 1), np.uint16)), tell=told.append)
    assert len(told) == 1


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_a_tiff_whose_white_is_zero_is_no_negative(kind: type[np.generic], white: int) -> None:
    scene = np.linspace(0, 1, 64).reshape(8, 8)
    buffer = io.BytesIO()
    Image.fromarray((scene * white).astype(kind)).save(buffer, "TIFF")
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, meaning, 0) for meaning in (1, 0))
    assert buffer.getvalue().count(black_is_zero) == 1
    there = images.read_pixels(buffer.getvalue()).astype(int)
    turned = images.read_pixels(buffer.getvalue().replace(black_is_zero, white_is_zero)).astype(int)
    assert np.abs(there + turned - 255).max() <= 1


def test_16_bits_that_are_used_and_8_dark_bits_are_nothing_to_tell() -> None:
    told: list[str] = []
    images.read_pixels(png16(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8, 1)), tell=told.append)
    images.read_pixels(Image.new("L", (8, 8), 9), tell=told.append)
    images.read_pixels(Image.new("RGB", (8, 8), (9, 9, 9)), tell=told.append)
    assert told == []


def png16(values: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits, [h, w, 1] or [h, w, 3]; Pillow writes none in colours."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels > 1 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_the_same_sentence_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    image = Image.new("RGB", (2, 2))
    image.info["icc_profile"] = b"told once"
    for _ in range(3):
        images.read(image)
    assert caplog.text.count("colour profile") <= 1  # 0 where another test of this process had the same sentence


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", ["p3", "adobe"])
def test_photographs_of_wide_gamuts_are_what_their_owners_see(name: str) -> None:
    reference, found = (images.read_pixels(CASES / "colour_profile" / f"{n}.png").astype(int) for n in ("srgb", name))
    off = np.abs(found - reference)
    # 8 bits of the wider gamut cannot say all that 8 bits of sRGB can: a few dark levels are 5 off in exact arithmetic.
    assert off.max() <= 5
    assert np.mean(off > 4) < 1e-3
