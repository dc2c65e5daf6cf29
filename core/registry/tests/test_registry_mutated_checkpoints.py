"""Whatever the bytes are, a reader gives a result or one of our errors."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_safetensors

from i2i_registry.actions.inspect import inspect_file
from i2i_registry.checkpoints.reader import read_checkpoint
from i2i_registry.checkpoints.tensor_files import read_tensors
from i2i_registry.errors import CheckpointError

from .checkpoint_bytes import deflated, saved, torch_tar, zipped

ROUNDS = 150
"""of each kind of file; a mutation takes a millisecond"""


def _content() -> OrderedDict[str, object]:
    base = torch.arange(24.0).reshape(4, 6)
    inside = {"list": [torch.ones(()), (1, 2.5, "x", None)], "set": {1, 2}, (1, 2): b"bytes"}
    return OrderedDict(a=base, b=base[1:3, ::2], i=torch.arange(3), o=torch.tensor([True, False]), inside=inside)


def _objects() -> dict[str, object]:
    return {"w": torch.arange(4.0), "module": torch.nn.Linear(2, 2), "numbers": list(range(10)), "large": 2**100}


FILES: dict[str, Callable[[], bytes]] = {
    "zip": lambda: saved(_content()),
    "deflated": lambda: deflated(saved(_content())),
    "stream": lambda: saved(_content(), new_format=False),
    "tar": torch_tar,
    **{f"pickle {protocol}": lambda protocol=protocol: pickle.dumps(_objects(), protocol) for protocol in range(6)},
    "safetensors": lambda: save_safetensors({"a": torch.ones(3), "b": torch.ones(2, 2, dtype=torch.int8)}, {"k": "v"}),
}


def _mutated(content: bytes, chance: random.Random) -> bytes:
    mutated = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(mutated) or 1)
        length = chance.randrange(1, 20)
        match chance.randrange(6):
            case 0:
                mutated[at : at + 1] = chance.randbytes(1)
            case 1:
                mutated[at : at + 8] = chance.choice(
                    [b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f", b"\x00" * 7 + b"\x80"]
                )
            case 2:
                del mutated[at : at + length]
            case 3:
                mutated[at:at] = chance.randbytes(length)
            case 4:
                del mutated[at:]
            case _:
                start = chance.randrange(len(mutated) or 1)
                mutated[at : at + length] = mutated[start : start + length]
    return bytes(mutated)


def _with_member(archive: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The archive with another data.pkl, whole as an archive, so that the change is not stopped by its checksum."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return zipped(
            {n: change(source.read(n)) if n.endswith("data.pkl") else source.read(n) for n in source.namelist()}
        )


def _read(path: Path) -> None:
    """Everything that the commands do with a file, and what they print of it. Only our error may come."""
    said: list[str] = []
    try:
        checkpoint = read_checkpoint(path)
        said += [*checkpoint.outline(), *checkpoint.records(), *inspect_file(path).lines]
        for tensor in checkpoint.tensors.values():
            tensor.clone()  # every element is there
    except CheckpointError as error:
        said += str(error).splitlines()
    assert all(line.isprintable() for line in said)
    assert max(map(len, said), default=0) < 1000


@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    chance, content, path = random.Random(kind), FILES[kind](), tmp_path / "a.pth"  # noqa: S311
    path.write_bytes(content)
    read_checkpoint(path)  # the file that is mutated is an honest one
    for _ in range(ROUNDS):
        path.write_bytes(_mutated(content, chance))
        _read(path)


@pytest.mark.parametrize("kind", ["zip", "objects"])
def test_a_mutated_pickle_in_a_whole_archive_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    chance, path = random.Random(kind), tmp_path / "a.pth"  # noqa: S311
    archive = saved(_content() if kind == "zip" else _objects())
    for _ in range(3 * ROUNDS):
        path.write_bytes(_with_member(archive, lambda content: _mutated(content, chance)))
        _read(path)


@pytest.mark.parametrize("kind", ["stream", "tar", "pickle 2", "pickle 4", "zip", "safetensors"])
def test_a_file_that_ends_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    content, path = FILES[kind](), tmp_path / "a.pth"
    # A tar ends with 20 KB of padding, of which one block is enough.
    whole = len(content.rstrip(b"\0")) if kind == "tar" else len(content)
    for length in range(0, whole, max(1, whole // 400)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_mutated_safetensors_are_read_or_refused_by_every_reader(tmp_path: Path) -> None:
    chance, content, path = random.Random(7), FILES["safetensors"](), tmp_path / "a.safetensors"  # noqa: S311
    for _ in range(3 * ROUNDS):
        path.write_bytes(_mutated(content, chance))
        for read in (read_tensors, inspect_file, read_checkpoint):
            with suppress(CheckpointError):
                read(path)
