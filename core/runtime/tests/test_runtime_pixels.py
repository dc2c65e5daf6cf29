"""Images of any number of channels: they come in four ways, are never guessed, and go out whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2i_runtime as i2i
from i2i_runtime.errors import ImageError, UsageError
from i2i_runtime.image import reading as images
from i2i_runtime.image.pixels import Pixels
from i2i_runtime.image.writing import save_image


def levels(channels: int, height: int = 6, width: int = 9) -> Pixels:
    return np.random.default_rng(channels).integers(0, 256, (height, width, channels), dtype=np.uint8)


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [2, 4, 5, 6, 16])
def test_arrays_npy_files_and_tiff_pages_keep_every_channel(tmp_path: Path, channels: int) -> None:
    image = levels(channels)
    np.save(tmp_path / "a.npy", image)
    pages = [Image.fromarray(image[:, :, index]) for index in range(channels)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    sources = (image, image / 255, tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes(), tmp_path / "a.tif")
    for source in sources:
        np.testing.assert_array_equal(images.read_pixels(source, channels), image)


def test_pages_in_colour_count_three_each_and_fortran_order_is_the_same_image(tmp_path: Path) -> None:
    image = levels(6)
    first, second = Image.fromarray(image[:, :, :3]), Image.fromarray(image[:, :, 3:])
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(images.read_pixels(tmp_path / "a.tif", 6), image)
    np.testing.assert_array_equal(images.read_pixels(npy(np.asfortranarray(image)), 6), image)


def test_several_files_are_joined_by_a_plus_unless_a_file_has_that_name(tmp_path: Path) -> None:
    image = levels(6)
    Image.fromarray(image[:, :, :3]).save(tmp_path / "a.png")
    Image.fromarray(image[:, :, 3:]).save(tmp_path / "b.png")
    name = f"{tmp_path / 'a.png'}+{tmp_path / 'b.png'}"
    np.testing.assert_array_equal(images.read_pixels(name, 6), image)
    np.testing.assert_array_equal(i2i.stack(tmp_path / "a.png", str(tmp_path / "b.png")), image)

    with pytest.raises(ImageError, match="means several files, and this model takes images of 3 channels"):
        images.read_pixels(name, 3)

    (tmp_path / "c.png+d.png").write_bytes(npy(image))
    np.testing.assert_array_equal(images.read_pixels(tmp_path / "c.png+d.png", 6), image)


def test_a_grey_part_beside_a_coloured_one_adds_one_channel(tmp_path: Path) -> None:
    image = levels(4)
    Image.fromarray(image[:, :, :3]).save(tmp_path / "colour.png")
    Image.fromarray(image[:, :, 3]).save(tmp_path / "depth.png")
    found = images.read_pixels(f"{tmp_path / 'colour.png'}+{tmp_path / 'depth.png'}", 4)
    np.testing.assert_array_equal(found, image)


def test_transparency_is_the_fourth_channel_where_four_are_wanted_and_is_never_made_up(tmp_path: Path) -> None:
    image = levels(4)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read_pixels(tmp_path / "a.png", 4), image)
    np.testing.assert_array_equal(images.read_pixels(Image.fromarray(image), 4), image)
    Image.fromarray(image[:, :, :3]).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"b\.png has 3 channels .*\nexpected: 4 .*RGBA for 4"):
        images.read_pixels(tmp_path / "b.png", 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_number_of_channels_that_does_not_fit_is_refused_whatever_the_source(tmp_path: Path, channels: int) -> None:
    np.save(tmp_path / "a.npy", levels(6))
    for source in (levels(6), tmp_path / "a.npy"):
        with pytest.raises(ImageError, match=f"6 channels .*\nexpected: {channels} "):
            images.read_pixels(source, channels)
    with pytest.raises(ImageError, match=r"5 channels"):
        images.read_pixels(levels(5), 6)


def test_parts_of_different_sizes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(levels(3)).save(tmp_path / "a.png")
    Image.fromarray(levels(3, 7)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match="9x6, 9x7"):
        images.read_pixels(f"{tmp_path / 'a.png'}+{tmp_path / 'b.png'}", 6)


def header(text: str) -> bytes:
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(np.array([[1, "a"]], dtype=object)), "object"),
        (npy(levels(6).astype(np.int16)), "int16"),
        (npy(levels(6).astype(np.float32)), "0 to 1"),
        (npy(levels(6)[0, 0]), "shape"),
        (npy(levels(6))[:-1], "323 bytes"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (1048576, 1048576, 6), }"), "at most"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000, 1000, 1000000), }"), "at most"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (9000, 9000, 3), }"), "0 bytes"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -4, 6), }"), "shape"),
        (header("__import__('os').abort()"), "damaged"),
        (b"\x93NUMPY\x07\x00", "version"),
        (b"\x93NUMPY", "damaged"),
    ],
)
def test_a_npy_file_that_is_no_image_is_refused_before_memory_is_taken(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        images.read_pixels(data, 6)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_what_is_saved_comes_back_whole(tmp_path: Path, channels: int, suffix: str) -> None:
    image = levels(channels)
    path = save_image(image, tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(images.read_pixels(path, channels), image)


def test_a_png_of_six_channels_is_refused_and_following_the_advice_works(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"6 channels as PNG.*\n.*\nfix: -o out\.tif, or -o out\.npy"):
        save_image(levels(6), tmp_path / "out.png")
    assert not list(tmp_path.iterdir())
    assert save_image(levels(6), tmp_path / "out.tif").is_file()


def test_a_tiff_with_many_pages_is_not_decoded_further_than_it_has_channels() -> None:
    buffer = io.BytesIO()
    pages = [Image.new("L", (4, 4), index) for index in range(40)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="7 channels"):
        images.read_pixels(buffer.getvalue(), 6)
    assert images.read_pixels(buffer.getvalue(), 40)[0, 0].tolist() == list(range(40))
