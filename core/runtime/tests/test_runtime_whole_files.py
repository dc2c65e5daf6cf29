"""Files and folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_runtime.files.atomic import atomic_folder, atomic_write, write_text
from i2i_runtime.files.regular import sha256_of


def _write_half(path: Path) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write("half")
        file.flush()
        file.write("\u00e4")


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as partial:
        _write_half(partial)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), atomic_folder(tmp_path / "out") as partial:
        _write_half(partial / "x")
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "x").write_text("whole")
    assert (tmp_path / "out" / "x").read_text() == "whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_exists_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError), atomic_folder(tmp_path / "out"):
        pass


def test_results_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
