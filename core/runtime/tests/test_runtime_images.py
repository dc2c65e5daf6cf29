"""Decoding is safe and shows what a person sees; saving is whole or not at all; listing a folder skips junk."""

from __future__ import annotations

import csv
import errno
import io
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_runtime.errors import ImageError, StorageError, UsageError
from i2i_runtime.image import decoding
from i2i_runtime.image import reading as images
from i2i_runtime.image.writing import save_image

BAD = Path(__file__).parent / "data" / "bad"


def rows(outcome: str) -> Iterator[dict[str, str]]:
    with (BAD / "expected.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["outcome"].startswith(outcome) and row["file"] not in {"Thumbs.db", "empty_folder/.gitkeep"}:
                yield row


def pixels(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(images.read(BAD / name))


@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"]) for row in rows("reject")])
def test_a_bad_file_is_refused_quickly_with_its_name_and_a_reason(row: dict[str, str]) -> None:
    start = time.perf_counter()
    with pytest.raises(ImageError) as caught:
        images.read(BAD / row["file"])
    assert time.perf_counter() - start < 1
    assert row["file"] in caught.value.found
    assert len(caught.value.found) > len(str(BAD / row["file"])) + 5


def test_refusing_every_bad_file_takes_less_than_100_mb() -> None:
    names = [row["file"] for row in rows("reject")]
    code = (
        "import resource, sys\n"
        "from i2i_runtime.image import reading as images\n"
        "from i2i_runtime.errors import ImageError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for name in sys.argv[1:]:\n"
        "    try: images.read(name)\n"
        "    except ImageError: continue\n"
        "    sys.exit(name + ' was accepted')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(BAD / name) for name in names)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * 1024


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row["file"]) for outcome in ("accept", "skip") for row in rows(outcome)]
)
def test_an_odd_but_whole_file_is_read_at_its_upright_size(row: dict[str, str]) -> None:
    width, height = map(int, row["upright_size"].split("x"))
    image = images.read(BAD / row["file"])
    assert (image.mode, image.size) == ("RGB", (width, height))


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_turned_photograph_is_shown_upright(orientation: int) -> None:
    turned, scene = pixels(f"exif_orientation_{orientation}.jpg"), pixels("progressive.jpg")
    assert np.abs(turned.astype(int) - scene).mean() < 3  # two JPEG encodings of one scene


def test_16_bit_images_equal_their_8_bit_scene() -> None:
    assert np.abs(pixels("gray16.png").astype(int) - pixels("gray8.png")).max() <= 1
    assert np.abs(pixels("rgb16.png").astype(int) - pixels("png_named.jpg")).max() <= 1


def test_a_float_image_from_0_to_1_spans_the_whole_range() -> None:
    assert np.abs(pixels("float.tiff").astype(int) - pixels("gray8.png")).max() <= 1


def test_a_float_image_beyond_1_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 7.5]], dtype=np.float32)).save(tmp_path / "hdr.tiff")
    with pytest.raises(ImageError, match=r"hdr\.tiff holds values from 0 to 7\.5"):
        images.read(tmp_path / "hdr.tiff")


def test_a_bilevel_image_becomes_black_and_white() -> None:
    assert set(np.unique(pixels("bilevel.png"))) == {0, 255}


def test_what_is_transparent_becomes_white() -> None:
    hidden = pixels("rgba_hidden_colour.png")
    assert (hidden[:30] == 255).all()
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert images.read(half).getpixel((0, 0)) == (255, 127, 127)
    grey = Image.new("LA", (1, 1), (0, 0))
    assert images.read(grey).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_with_transparency_gives_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=bytes([255, 0]))
    read = images.read(buffer.getvalue())
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_cmyk_is_neither_inverted_nor_of_four_channels() -> None:
    assert np.abs(pixels("cmyk.jpg").astype(int) - pixels("progressive.jpg")).mean() < 12


def test_of_an_animation_the_first_frame_is_taken() -> None:
    with Image.open(BAD / "animated.gif") as animation:
        first = np.asarray(animation.convert("RGB"))
    np.testing.assert_array_equal(pixels("animated.gif"), first)


def test_bytes_and_pil_images_are_read_like_files() -> None:
    path = BAD / "exif_orientation_6.jpg"
    expected = np.asarray(images.read(str(path)))
    np.testing.assert_array_equal(np.asarray(images.read(path.read_bytes())), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(images.read(opened)), expected)


def test_missing_files_folders_and_strange_values_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no\.png does not exist"):
        images.read(tmp_path / "no.png")
    with pytest.raises(ImageError, match="is a folder"):
        images.read(BAD / "folder_named.png")
    with pytest.raises(ImageError, match="cannot be read"):
        images.read("a\0b.png")
    with pytest.raises(ImageError, match="given as int"):
        images.read(3)  # pyright: ignore[reportArgumentType] - the mistake under test


def test_a_file_that_would_start_another_program_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "page.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(ImageError, match="not an image"):
        images.read(path)


def test_an_image_between_pillow_s_warning_and_our_limit_is_read_without_a_warning() -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9990)).save(buffer, "PNG")
    assert (Image.MAX_IMAGE_PIXELS or 0) < 9000 * 9990
    assert images.read(buffer.getvalue()).size == (9000, 9990)


def test_uint8_and_float_arrays_are_images() -> None:
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(np.asarray(images.read(colours)), colours)
    np.testing.assert_array_equal(np.asarray(images.read(colours / 255)), colours)
    grey = np.asarray(images.read(np.array([[0, 7]], dtype=np.uint8)))
    np.testing.assert_array_equal(grey, [[[0, 0, 0], [7, 7, 7]]])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4, 4), np.uint8), "shape"),
        (np.zeros((3, 4, 4), np.uint8), "transpose"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"list\(a\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.uint16), "uint16"),
        (np.zeros((4, 4), bool), "bool"),
        (np.full((4, 4, 3), 200.0), "0 to 1"),
        (np.full((4, 4, 3), -0.5), "0 to 1"),
        (np.full((4, 4, 3), np.nan), "nan"),
    ],
)
def test_arrays_that_are_no_images_are_refused(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], reason: str
) -> None:
    with pytest.raises(ImageError, match=reason):
        images.read(array)


WHOLE, DEEP, YES = np.array([[0, 255]]), np.array([[0, 65535]], np.uint16), np.array([[False, True]])


@pytest.mark.parametrize(
    ("array", "fix", "fixed"),
    [
        (WHOLE, "levels from 0 to 255: a.astype('uint8')", WHOLE.astype("uint8")),
        (DEEP, "from 0 to 65535: (a / 65535).astype('float32')", (DEEP / 65535).astype("float32")),
        (YES, "a.astype('float32')", YES.astype("float32")),
    ],
)
def test_the_fix_for_an_array_of_other_numbers_gives_the_image(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    fix: str,
    fixed: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> None:
    with pytest.raises(ImageError) as caught:
        images.read(array)
    assert fix in caught.value.fix
    np.testing.assert_array_equal(np.asarray(images.read(fixed))[0, :, 0], [0, 255])


@pytest.mark.parametrize("sample_bits", [64, 24])
def test_a_tiff_that_no_decoder_knows_is_said_to_be_one(tmp_path: Path, sample_bits: int) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
    bits, others = (struct.pack("<HHIHH", 258, 3, 1, number, 0) for number in (32, sample_bits))
    data = (tmp_path / "a.tif").read_bytes()
    assert data.count(bits) == 1
    with pytest.raises(ImageError, match=r"is a TIFF of a kind that is not read here[\s\S]*fix: .*\.npy"):
        images.read(data.replace(bits, others))


def test_threads_can_decode_at_the_same_time() -> None:
    failures: list[str] = []

    def work() -> None:
        for name in ("gray16.png", "truncated.jpg", "progressive.jpg"):
            try:
                size = images.read(BAD / name).size
                if size != (96, 72):
                    failures.append(name)
            except ImageError:
                if name != "truncated.jpg":
                    failures.append(name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".TIF"])
def test_saving_without_loss_gives_the_same_pixels_back(tmp_path: Path, suffix: str) -> None:
    image = images.read(BAD / "progressive.jpg")
    path = save_image(image, tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(np.asarray(images.read(path)), np.asarray(image))


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP")])
def test_the_extension_decides_the_format(tmp_path: Path, suffix: str, kind: str) -> None:
    path = save_image(images.read(BAD / "gray8.png"), tmp_path / f"out{suffix}")
    with Image.open(path) as image:
        assert image.format == kind


def test_an_unknown_extension_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean '\.png'"):
        save_image(Image.new("RGB", (2, 2)), tmp_path / "out.pngg")


def test_a_side_that_the_format_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        save_image(Image.new("L", (16384, 1)), tmp_path / "wide.webp")
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        save_image(Image.new("RGB", (2, 2)), tmp_path / "missing" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        save_image(Image.new("RGB", (2, 2)), tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are a POSIX thing")
    (tmp_path / "out.bmp").write_bytes(b"old")
    code = (
        "import resource, signal, sys\n"
        "from PIL import Image\n"
        "from i2i_runtime.image.writing import save_image\n"
        "from i2i_runtime.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: save_image(Image.new('RGB', (99, 99)), sys.argv[1])\n"
        "except StorageError: sys.exit(7)\n"
    )
    assert resource is not None
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.bmp")], check=False)
    assert done.returncode == 7
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out.bmp": b"old"}


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOSPC])
def test_what_the_machine_cannot_do_is_no_fault_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "a.png").write_bytes((BAD / "gray8.png").read_bytes())

    def broken(_path: Path) -> None:  # a real disk that fails cannot be had in a test
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(decoding, "open_regular", broken)
    with pytest.raises(StorageError) as caught:
        images.read(tmp_path / "a.png")
    assert not isinstance(caught.value, UsageError)


def test_a_broken_upload_is_the_caller_s_fault() -> None:
    with pytest.raises(UsageError) as caught:
        images.read(b"an upload that is no image")
    assert isinstance(caught.value, ImageError)
    assert caught.value.exit_code == 2
