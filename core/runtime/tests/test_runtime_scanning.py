"""Listing a folder: what is an image by its name is found, and everything else is counted, named and explained."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, features

from i2i_runtime.errors import ImageError, UsageError
from i2i_runtime.image import decoding
from i2i_runtime.image import folders as scanning
from i2i_runtime.image import reading as images
from i2i_runtime.image.folders import scan_folder

BAD = Path(__file__).parent / "data" / "bad"


def test_images_are_taken_by_extension_and_the_rest_is_named() -> None:
    listing = scan_folder(BAD)
    names = [path.relative_to(BAD).as_posix() for path in listing.images]
    assert names == sorted(names, key=lambda name: BAD / name)
    assert {"UPPER.JPG", "-leading-dash.png", "folder_named.png/inside.png", "two_pages.tiff"} <= set(names)
    assert not {"no_extension", "Thumbs.db", ".hidden.png", "expected.csv", "README.md"} & set(names)
    left_out = {reason: {path.name for path in paths} for reason, paths in listing.left_out.items()}
    assert left_out["hidden"] == {".hidden.png", ".gitkeep"}
    assert left_out["not named like an image"] == {"Thumbs.db", "no_extension", "expected.csv", "README.md"}
    assert listing.left_out_count == 6


def test_an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert scan_folder(tmp_path).images == ()
    assert scan_folder(tmp_path).sentence() == ""
    with pytest.raises(UsageError, match="does not exist"):
        scan_folder(tmp_path / "no")
    with pytest.raises(UsageError, match="is not a folder"):
        scan_folder(BAD / "gray8.png")


@pytest.mark.parametrize("name", ["a.JFIF", "b.jpe", "c.Jif", "d.dib", "e.pnm", "f.apng", "g.PBM"])
def test_every_name_of_a_format_counts_whatever_its_case(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / name, format="PNG")
    assert [path.name for path in scan_folder(tmp_path).images] == [name]
    assert images.read(tmp_path / name).size == (4, 4)


def test_links_pipes_and_hidden_folders_are_left_out_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / ".cache").mkdir(parents=True)
    (folder / ".cache" / "inside.png").touch()
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "nowhere.png").symlink_to(tmp_path / "gone.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    (folder / "evil\x1b[31m.txt").touch()
    sentence = scan_folder(folder).sentence()
    assert "1 hidden (.cache)" in sentence
    assert "1 linked folder, which is not followed (linked)" in sentence
    assert "nowhere.png" in sentence
    assert "pipe.png" in sentence
    assert "\x1b" not in sentence


def test_the_first_names_are_told_and_the_number_of_all(tmp_path: Path) -> None:
    for index in range(7):
        (tmp_path / f"{index}.txt").touch()
    assert scan_folder(tmp_path).sentence().endswith("7 not named like an image (0.txt, 1.txt, 2.txt, ...)")


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scandir(path: str | os.PathLike[str]) -> object:
        if Path(path).name == "locked":  # the superuser, who runs some tests, may list everything
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "1 that cannot be listed: Permission denied (locked)" in scan_folder(tmp_path).sentence()


def test_arrays_count_only_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    assert scan_folder(tmp_path).left_out_count == 1
    assert len(scan_folder(tmp_path, arrays=True).images) == 1


def heic(brand: bytes) -> bytes:
    return (24).to_bytes(4, "big") + b"ftyp" + brand + b"\0\0\0\0" + brand + b"mif1"


@pytest.mark.parametrize(("name", "brand"), [("x.heic", b"heic"), ("x.HIF", b"mif1"), ("x.avif", b"avif")])
def test_formats_that_are_not_here_are_named_with_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, brand: bytes
) -> None:
    without = tuple(each for each in scanning.formats() if each not in {"AVIF", "HEIF"})
    monkeypatch.setattr(scanning, "formats", lambda: without)
    monkeypatch.setattr(decoding, "formats", lambda: without)
    (tmp_path / name).write_bytes(heic(brand))
    listing = scan_folder(tmp_path)
    assert listing.images == ()
    assert "pip install" in listing.sentence()
    with pytest.raises(ImageError, match="which is not read here") as caught:
        images.read(tmp_path / name)
    assert caught.value.fix.startswith("pip install")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read_where_pillow_has_it(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 30, 40)).save(tmp_path / "a.avif", quality=100)
    assert len(scan_folder(tmp_path).images) == 1
    assert images.read(tmp_path / "a.avif").size == (16, 16)


CASE = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "cases" / "field" / "skipped" / "mix"


@pytest.mark.skipif(not CASE.is_dir(), reason="the cases are not here")
def test_a_mixed_folder_from_a_telephone(tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path / "mix")
    listing = scan_folder(tmp_path / "mix")
    assert "Y.JFIF" in {path.name for path in listing.images}
    known = {path.name for path in listing.images} | {p.name for paths in listing.left_out.values() for p in paths}
    assert known == {"Y.JFIF", "a.jpg", "a.png", "x.heic", "z.avif"}
