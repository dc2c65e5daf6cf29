"""What comes from elsewhere: texts are shown without effect, and only regular files are opened."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from i2i_runtime.files.regular import open_regular, read_regular
from i2i_runtime.untrusted_text import printable


def test_what_a_terminal_obeys_is_escaped() -> None:
    assert printable("\x1b[2J\x1b]0;owned\x07 red\r\nerror: fake") == r"\x1b[2J\x1b]0;owned\x07 red\r\nerror: fake"


@pytest.mark.parametrize(
    "letter", ["\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x9b", "\x00", "\u3164", "\ud800"]
)
def test_what_hides_or_turns_text_is_escaped(letter: str) -> None:
    shown = printable(f"a{letter}b")
    assert shown.isascii()
    assert shown == f"a{letter.encode('unicode_escape', 'surrogatepass').decode()}b"


def test_no_character_of_any_control_or_format_category_is_left() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = printable(everything, limit=len(everything))
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_names_of_any_language_and_paths_stay_as_they_are() -> None:
    for text in ("Gärten/モデル.pth", "C:\\models\\ж.pt", "module.0.weight", ""):
        assert printable(text) == text


@pytest.mark.parametrize("limit", [10, 11, 200])
def test_a_long_text_keeps_its_beginning_and_its_end(limit: int) -> None:
    shown = printable("start" + "x" * 10_000 + "end.pth", limit=limit)
    assert len(shown) == limit
    assert shown.startswith("star")
    assert shown.endswith("pth")
    assert "..." in shown


def test_a_regular_file_and_a_link_to_it_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "link", most_bytes=7) == b"content"


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=f"it has {1 << 40} bytes, and at most 1000"):
        read_regular(tmp_path / "large", most_bytes=1000)


def test_what_is_no_regular_file_is_an_error_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to("pipe")
    (tmp_path / "to_device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    expected = {"pipe": "named pipe", "to_pipe": "named pipe", "to_device": "device", "socket": "socket"}
    for name, kind in expected.items():
        with pytest.raises(OSError, match=f"it is a {kind}, not a file"):
            open_regular(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_a_pipe_that_takes_the_files_place_does_not_block(tmp_path: Path) -> None:
    # The first look sees a file and the opening a pipe. In a process of its own, so that blocking fails the test.
    script = (
        "import os, pathlib, sys\n"
        "from i2i_runtime.files.regular import open_regular\n"
        "class Exchanged(pathlib.PosixPath):\n"
        "    def stat(self, **kwargs):\n"
        "        return os.stat(os.__file__)\n"
        "try:\n"
        "    open_regular(Exchanged(sys.argv[1]))\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    os.mkfifo(tmp_path / "pipe")
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "pipe")], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "it is a named pipe, not a file\n"
