"""Whatever is in a file of the store or the catalogue, its reader gives a result or one of our errors, in few words."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.record_files import MOST_BYTES
from i2i_registry.weights.catalogue import curated_file, read_curated
from i2i_registry.weights.store import Store
from i2i_runtime.errors import I2IError

TENSORS = {"net.w": torch.zeros(2)}
TRIES = 120
LONGEST_MESSAGE = 3000
PIECES = (b"\x00", b"\xff", b"{", b"[", b'"', b"}", b",", b"-1", b"1e999", b"NaN", b"9" * 5000, b"\\ud800", b"\x1b[2J")


def mutations(content: bytes, seed: int) -> Generator[bytes]:
    """The content with bytes changed, cut out, repeated, or put in."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(TRIES):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(changed) + 1)
            end = min(start + chance.choice((0, 1, 1, 7, 60)), len(changed))
            changed[start:end] = chance.choice((*PIECES, bytes(changed[start:end]) * 2, chance.randbytes(3), b""))
        yield bytes(changed)


BOMBS = {
    "nothing": b"",
    "deep list": b"[" * 200_000,
    "deep mapping": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep toml": b"a = " + b"[" * 100_000 + b"]" * 100_000,
    "deep keys": b"a." * 100_000 + b"b = 1",
    "many fields": b"{" + b",".join(b'"f%d":0' % number for number in range(100_000)) + b"}",
    "huge number": b'{"version": ' + b"9" * 100_000 + b"}",
    "too large": b" " * (MOST_BYTES + 1),
}


@contextmanager
def _told_briefly() -> Generator[None]:
    message = ""
    try:
        yield
    except I2IError as error:
        message = str(error)
    assert len(message) < LONGEST_MESSAGE
    assert not {letter for letter in message if not letter.isprintable()} - {"\n"}


@pytest.fixture
def readers(store: Store, draft: WeightsDraft, tmp_path: Path) -> dict[str, tuple[Path, Callable[[], object]]]:
    """Name -> a whole file, and what reads it."""
    store.add(TENSORS, draft, alias="best")
    curated = tmp_path / "registry.toml"
    curated.write_bytes(curated_file().read_bytes())

    def use_card() -> None:
        (card,) = (store.find("mine@1"),)
        assert (card.name, card.version) == ("mine", 1)
        store.has(card)
        store.path_of(card)

    return {
        "card": (store.root / "cards/mine/1.json", use_card),
        "cards": (store.root / "cards/mine/1.json", lambda: (store.cards(), store.damage(), store.taken("mine", "x"))),
        "aliases": (store.root / "cards/mine/aliases.json", lambda: store.find("mine@best")),
        "catalogue": (curated, lambda: read_curated(curated)),
    }


@pytest.mark.parametrize("name", ["card", "cards", "aliases", "catalogue"])
def test_any_change_gives_a_result_or_an_error_of_ours(
    readers: dict[str, tuple[Path, Callable[[], object]]], name: str
) -> None:
    path, read = readers[name]
    whole = path.read_bytes()
    for changed in (*mutations(whole, seed=11), *BOMBS.values()):
        path.write_bytes(changed)
        with _told_briefly():
            read()
    path.write_bytes(whole)
    read()


@pytest.mark.skipif(os.name == "nt", reason="named pipes and sockets are no files there")
@pytest.mark.parametrize("name", ["card", "cards", "aliases", "catalogue"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop"])
def test_what_is_no_file_is_an_error_at_once(
    readers: dict[str, tuple[Path, Callable[[], object]]], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = readers[name]
    path.unlink()
    monkeypatch.chdir(path.parent)  # a socket's address is short
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)
    with _told_briefly():
        read()


@pytest.mark.skipif(os.name == "nt", reason="named pipes are no files there")
def test_weights_that_are_no_file_are_an_error_at_once(store: Store, draft: WeightsDraft) -> None:
    blob = store.path_of(store.add(TENSORS, draft))
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(I2IError, match="named pipe"):
        store.get("mine")
