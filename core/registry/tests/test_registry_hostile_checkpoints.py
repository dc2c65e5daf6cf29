"""Files that are made to run code, to say different things to different readers, or to take all memory or time."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from i2i_registry.actions.inspect import MOST_LINES, inspect_file
from i2i_registry.checkpoints.reader import read_checkpoint
from i2i_registry.errors import CheckpointError

from .checkpoint_bytes import (
    LOAD_FROM_BYTES,
    Call,
    StorageMention,
    TensorMention,
    pickled,
    saved,
    tarred,
    torch_stream,
    torch_tar,
    torch_zip,
    zipped,
)

CASES = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "cases" / "hostile"


class Loud(nn.Module):
    """A program that prints when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.ones(1)

    @torch.jit.export
    def __getstate__(self):  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: ANN204 - TorchScript reads none
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):  # noqa: ANN204
        print("canary")  # noqa: T201
        self.weight = state[0]
        self.training = state[1]

    def forward(self, x: torch.Tensor):  # noqa: ANN201
        return x * self.weight


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A TorchScript archive."""
    path = tmp_path_factory.mktemp("program") / "program.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        torch.jit.script(Loud()).save(str(path))
    return path.read_bytes()


def _honest() -> bytes:
    return saved({"w": torch.arange(4.0)})


def _end_of(archive: bytes) -> bytes:
    """The end record of an archive without the 64-bit one."""
    return archive[-22:]


def test_the_program_is_a_real_one(tmp_path: Path, program: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pt").write_bytes(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(str(tmp_path / "a.pt"))  # noqa: TID251 - the control: our own program
    assert "canary" in capfd.readouterr().out


def _two_directories(program: bytes) -> bytes:
    """An honest archive in front of a program, and between them an end record that some readers look for first."""
    honest = zipped({"a/data.pkl": pickled({"w": 1})})
    comment = program + _end_of(zipped({"a/data.pkl": b"N."}))
    return honest[:-2] + struct.pack("<H", min(len(comment), 0xFFFF)) + comment


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "itself": lambda program: program,
    "in a zip": lambda program: torch_zip({"w": Call(LOAD_FROM_BYTES, program)}, {}),
    "as a member": lambda program: torch_zip({"w": Call(LOAD_FROM_BYTES, program)}, {"0": program}),
    "in a pickle": lambda program: pickled({"w": Call(LOAD_FROM_BYTES, program)}),
    "in a pickle in a pickle": lambda program: pickled(Call(LOAD_FROM_BYTES, pickled(Call(LOAD_FROM_BYTES, program)))),
    "in a stream": lambda program: torch_stream({"w": Call(LOAD_FROM_BYTES, program)}, {}),
    "behind an honest zip": lambda program: _honest() + program,
    "before an honest zip": lambda program: program + _honest(),
    "in a comment": _two_directories,
    "behind a pickle": lambda program: pickled({"w": 1}) + program,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_program_never_runs_wherever_it_lies(
    tmp_path: Path, program: bytes, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pt").write_bytes(WAYS[way](program))
    for read in (read_checkpoint, inspect_file):
        with pytest.raises(CheckpointError):
            read(tmp_path / "a.pt")
    output = capfd.readouterr()
    assert "canary" not in output.out + output.err


def test_a_nested_archive_that_is_not_asked_for_is_mere_bytes(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(torch_zip({"mere": program, "w": 1}, {}, extra=program))
    assert read_checkpoint(tmp_path / "a.pt").content == {"mere": program, "w": 1}


# Archives that two readers would read differently


def _members() -> dict[str, bytes]:
    data = struct.pack("<4f", *range(4))
    value = pickled({"w": TensorMention(StorageMention("0", 4), (4,), (1,))})
    return {"archive/data.pkl": value, "archive/data/0": data}


def _plain_zip() -> bytearray:
    return bytearray(zipped(_members()))


def _second_header(archive: bytes | bytearray) -> int:
    return archive.index(b"PK\x03\x04", 4)


def _first_entry(archive: bytes | bytearray) -> int:
    return archive.index(b"PK\x01\x02")


def _patched(offset_of: Callable[[bytearray], int], offset: int, content: bytes) -> bytes:
    archive = _plain_zip()
    start = offset_of(archive) + offset
    archive[start : start + len(content)] = content
    return bytes(archive)


def _duplicate() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path_members = list(_members().items())
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in [*path_members, path_members[0]]:
                archive.writestr(name, content)
        return out.getvalue()


def _gap() -> bytes:
    archive = _plain_zip()
    at, entry = _second_header(archive), archive.index(b"PK\x01\x02", _first_entry(archive) + 4)
    struct.pack_into("<I", archive, entry + 42, at + 8)
    end = len(archive) - 22
    struct.pack_into("<I", archive, end + 16, struct.unpack_from("<I", archive, end + 16)[0] + 8)
    archive[at:at] = b"PK\x05\x06\0\0\0\0"
    return bytes(archive)


def _overlap() -> bytes:
    """The second entry of the directory points to the first member."""
    archive = _plain_zip()
    entry = archive.index(b"PK\x01\x02", _first_entry(archive) + 4)
    struct.pack_into("<I", archive, entry + 42, 0)
    return bytes(archive)


def _with_extra(kind: int, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in _members().items():
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HH", kind, len(content)) + content
            archive.writestr(info, value)
    return out.getvalue()


def _commented() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in _members().items():
            archive.writestr(name, value)
        archive.comment = b"PK\x05\x06"
    return out.getvalue()


def _bomb() -> bytes:
    """A member that says 100 bytes, and unpacks to 64 MB."""
    archive = bytearray(zipped({"archive/data.pkl": bytes(1 << 26)}, zipfile.ZIP_DEFLATED))
    size = struct.pack("<I", 100)
    archive[22:26] = size
    entry = _first_entry(archive)
    archive[entry + 24 : entry + 28] = size
    return bytes(archive)


ODD_ZIPS: dict[str, Callable[[], bytes]] = {
    "two members of one name": _duplicate,
    "a gap with an end record in it": _gap,
    "two entries for one member": _overlap,
    "a comment": _commented,
    "bytes behind": lambda: bytes(_plain_zip()) + b"x",
    "bytes before": lambda: b"x" + bytes(_plain_zip()),
    "an archive behind": lambda: bytes(_plain_zip()) + zipped({"b/data.pkl": b"N."}),
    "another name before the member": lambda: _patched(lambda _: 0, 30, b"archive/consts.pkl"[:16]),
    "another checksum": lambda: _patched(lambda _: 0, 14, b"abcd"),
    "another size": lambda: _patched(lambda _: 0, 22, b"\1\0\0\0"),
    "another method": lambda: _patched(lambda _: 0, 8, b"\x08"),
    "encryption": lambda: _patched(_first_entry, 8, b"\1"),
    "a checksum that is wrong": lambda: _patched(lambda a: a.index(b"archive/data/0") + 14, 2, b"\xff"),
    "a directory elsewhere": lambda: _patched(lambda a: len(a) - 22, 16, b"\0\0\0\0"),
    "more members than there are": lambda: _patched(lambda a: len(a) - 22, 8, b"\3\0\3\0"),
    "fewer members than there are": lambda: _patched(lambda a: len(a) - 22, 8, b"\1\0\1\0"),
    "a second disk": lambda: _patched(lambda a: len(a) - 22, 4, b"\1"),
    "a path out of it": lambda: zipped({"archive/data.pkl": b"N.", "archive/../../x": b""}),
    "an absolute path": lambda: zipped({"archive/data.pkl": b"N.", "/x": b""}),
    "a path of Windows": lambda: zipped({"archive/data.pkl": b"N.", "archive\\x": b""}),
    "two checkpoints": lambda: zipped({"a/data.pkl": b"N.", "b/data.pkl": b"N."}),
    "no checkpoint": lambda: zipped({"a/readme": b""}),
    "a rare method": lambda: zipped(_members(), zipfile.ZIP_LZMA),
    "a second name": lambda: _with_extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(b"archive/data.pkl")) + b"other"),
    "sizes of 64 bits where there are none": lambda: _with_extra(1, bytes(16)),
    "an extra field that is cut": lambda: _patched(_first_entry, 30, b"\1"),
    "a member that unpacks to more than it says": _bomb,
    "something behind the pickle": lambda: zipped({"archive/data.pkl": b"N.N."}),
    "an odd byte order": lambda: torch_zip({}, {}, byteorder=b"middle"),
}


def test_the_archive_without_oddities_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(_plain_zip())
    assert read_checkpoint(tmp_path / "a.pt").tensors["w"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("oddity", ODD_ZIPS)
def test_an_archive_that_is_not_plain_is_refused(tmp_path: Path, oddity: str) -> None:
    (tmp_path / "a.pt").write_bytes(ODD_ZIPS[oddity]())
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pt")


ODD_TARS: dict[str, Callable[[], bytes]] = {
    "no end": lambda: torch_tar()[: 512 * 3],
    "bytes behind": lambda: torch_tar() + b"x",
    "much behind": lambda: torch_tar() + bytes(1 << 16),
    "a checksum that is wrong": lambda: b"X" + torch_tar()[1:],
    "a member missing": lambda: tarred({"storages": pickle.dumps(0)}),
    "a size that is none": lambda: torch_tar()[:124] + b"-0000000001" + torch_tar()[135:],
}


@pytest.mark.parametrize("oddity", ODD_TARS)
def test_a_tar_that_is_not_plain_is_refused(tmp_path: Path, oddity: str) -> None:
    (tmp_path / "a.pth").write_bytes(ODD_TARS[oddity]())
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pth")


# Tensors that do not lie where they say

SIX = StorageMention("0", 6)
FAULTY: dict[str, tuple[object, str]] = {
    "beyond the end": (TensorMention(SIX, (7,), (1,)), "reaches element 6 of a storage of 6"),
    "offset beyond the end": (TensorMention(SIX, (2,), (1,), 5), "reaches element 6"),
    "negative offset": (TensorMention(SIX, (2,), (1,), -1), "no whole numbers"),
    "negative stride": (TensorMention(SIX, (2,), (-1,), 3), "no whole numbers"),
    "negative size": (TensorMention(SIX, (-1,), (1,)), "no whole numbers"),
    "a size that is true": (TensorMention(SIX, (True,), (1,)), "no whole numbers"),
    "a size that is a text": (TensorMention(SIX, ("6",), (1,)), "no whole numbers"),
    "sizes that are none": (TensorMention(SIX, None, None), "no whole numbers"),
    "fewer strides": (TensorMention(SIX, (2, 3), (1,)), "no whole numbers"),
    "expanded": (TensorMention(SIX, (1 << 40,), (0,)), "overlaps itself"),
    "expanded a little": (TensorMention(SIX, (2, 3), (0, 1)), "overlaps itself"),
    "a window": (TensorMention(SIX, (3, 4), (1, 1)), "overlaps itself"),
    "huge": (TensorMention(SIX, (1 << 40, 1 << 40), (1 << 40, 1)), "reaches element"),
    "beyond 64 bits": (TensorMention(SIX, (1 << 70,), (1,)), "no whole numbers"),
    "empty and huge": (TensorMention(SIX, (0, 1 << 40, 1 << 40), (1, 1, 1)), "impossible sizes"),
    "many dimensions": (TensorMention(SIX, (1,) * 33, (1,) * 33), "33 dimensions"),
    "conjugated": (TensorMention(SIX, (6,), (1,), 0, {"conj": True}), "is marked conj"),
    "negated": (TensorMention(SIX, (6,), (1,), 0, {"neg": True}), "is marked neg"),
    "a storage that is short": (TensorMention(StorageMention("0", 7), (6,), (1,)), "24 bytes in place of 28"),
    "a storage that is long": (TensorMention(StorageMention("0", 5), (5,), (1,)), "24 bytes in place of 20"),
    "a storage that is missing": (TensorMention(StorageMention("9", 6), (6,), (1,)), "storage 9, which is missing"),
    "a storage of 2^60": (TensorMention(StorageMention("0", 1 << 60), (6,), (1,)), "in place of"),
    "quantised": (TensorMention(StorageMention("0", 24, torch.QUInt8Storage), (6,), (1,)), "quantised"),
    "sparse": (Call(torch._utils._rebuild_sparse_tensor, torch.float32, ()), "is sparse"),  # pyright: ignore[reportAttributeAccessIssue]
    "of no values": (
        Call(torch._utils._rebuild_meta_tensor_no_storage, torch.float32, (3,), (1,), False),  # pyright: ignore[reportAttributeAccessIssue]  # noqa: FBT003
        "device 'meta'",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_tensor_that_cannot_be_read_is_refused_by_name_and_reason(tmp_path: Path, fault: str) -> None:
    tensor, reason = FAULTY[fault]
    content = {"good": TensorMention(StorageMention("1", 1), (1,), (1,)), "layers": [{"bad": tensor}]}
    (tmp_path / "a.pt").write_bytes(torch_zip(content, {"0": bytes(24), "1": bytes(4)}))
    with pytest.raises(CheckpointError, match=r"its tensor 'layers\.0\.bad' ") as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert reason in caught.value.found


def test_a_tensor_whose_bytes_are_damaged_is_refused_by_name(tmp_path: Path) -> None:
    written = bytearray(saved({"w": torch.full((4,), 7.0)}))
    at = written.index(struct.pack("<4f", 7, 7, 7, 7))
    written[at] ^= 1
    (tmp_path / "a.pt").write_bytes(written)
    with pytest.raises(CheckpointError, match=r"its tensor 'w' cannot be read: the checksum of .*data/0 is wrong"):
        read_checkpoint(tmp_path / "a.pt")


STREAMS: dict[str, bytes] = {
    "bytes behind": torch_stream({"w": TensorMention(SIX, (6,), (1,))}, {"0": (6, bytes(24))}) + b"x",
    "another count": torch_stream({"w": TensorMention(SIX, (6,), (1,))}, {"0": (5, bytes(24))}),
    "a huge count": torch_stream({"w": TensorMention(StorageMention("0", 1 << 50), (6,), (1,))}, {"0": (6, bytes(24))}),
    "too few bytes": torch_stream({"w": TensorMention(SIX, (6,), (1,))}, {"0": (6, bytes(20))}),
    "a missing storage": torch_stream({"w": TensorMention(SIX, (6,), (1,))}, {}),
    "a storage too many": torch_stream({"w": 1}, {"0": (0, b"")}),
    "a part beyond": torch_stream(
        {"w": TensorMention(StorageMention("0", 6, view=("1", 4, 3)), (3,), (1,))}, {"0": (6, bytes(24))}
    ),
}


@pytest.mark.parametrize("fault", STREAMS)
def test_a_stream_that_is_not_what_it_says_is_refused(tmp_path: Path, fault: str) -> None:
    (tmp_path / "a.pth").write_bytes(STREAMS[fault])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pth")


# Files that would take all memory or time: read in a process that may take little of both


def _laughs(double: bytes) -> bytes:
    """A container that holds the same container twice, and so on: 2^60 parts in some hundred bytes."""
    return b"\x80\x04K\x01" + double * 60 + b"."


def _shared(open_: bytes, use: Callable[[bytes], bytes]) -> bytes:
    body = open_ + b"q\x00"
    for level in range(1, 60):
        body += open_ + use(b"h" + bytes([level - 1])) + b"q" + bytes([level])
    return b"\x80\x04" + body + b"."


def _complete_graph(size: int) -> bytes:
    """Lists that hold each other: more ways through them than a walk could ever go."""
    body = b"".join(b"]q" + bytes([index]) + b"0" for index in range(size))
    everything = b"(" + b"".join(b"h" + bytes([other]) for other in range(size)) + b"e0"
    return b"\x80\x02" + body + b"".join(b"h" + bytes([index]) + everything for index in range(size)) + b"h\x00."


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def _bytes(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def _nested_files(levels: int) -> bytes:
    inner = pickle.dumps(1, 2)
    for _ in range(levels):
        inner = pickle.dumps(Call(LOAD_FROM_BYTES, inner), 4)
    return inner


def _zeros(size: int) -> bytes:
    return zipped({"a/data.pkl": b"\x80\x04" + _bytes(ZEROS[:size]) + b"."}, zipfile.ZIP_DEFLATED)


def _again_and_again(function: bytes, arguments: bytes, times: int) -> bytes:
    """Calls of a function with the same arguments."""
    return b"\x80\x04" + function + b"q\x00" + arguments + b"q\x01" + b"h\x00h\x01R" * times + b"."


def _shape_of_many(sizes: int) -> bytes:
    """The arguments that rebuild a tensor of very many dimensions."""
    return b"((" + ONE_STORAGE + b"K\x00](" + b"K\x01" * sizes + b"eq\x02h\x02t"


def _growing_name(times: int) -> bytes:
    """A class inside a class inside a class, and so on, each of which has a longer name."""
    names = b"h\x00h\x01" + _text("inner") + b"\x86Rq\x01"
    return b"\x80\x04cbuiltins\ngetattr\nq\x00ca\nB\nq\x01" + names * times + b"."


def _numbers_as_keys(bits: int, count: int) -> bytes:
    numbers = (((n << bits) - n).to_bytes(12, "little") for n in range(count))
    return b"\x80\x04}(" + b"".join(b"\x8a\x0c" + number + b"N" for number in numbers) + b"u."


ZEROS = bytes(32 << 20)
REBUILD_NAME = b"ctorch._utils\n_rebuild_tensor_v2\n"
LOAD_NAME = b"ctorch.storage\n_load_from_bytes\n"
ONE_STORAGE = _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x01tQ"
ONE_NUMBER = b"((" + ONE_STORAGE + b"K\x00))tq\x02"
"""the arguments that rebuild a tensor of no dimension"""
BOMBS: dict[str, Callable[[], bytes]] = {
    "tuples": lambda: _laughs(b"2\x86"),
    "tuples in an archive": lambda: zipped({"a/data.pkl": _laughs(b"2\x86")}),
    "lists": lambda: _shared(b"]", lambda get: b"(" + get + get + b"e"),
    "dicts": lambda: _shared(b"}", lambda get: b"(K\x01" + get + b"K\x02" + get + b"u"),
    "states": lambda: _shared(b"ca\nB\n)R", lambda get: get + get + b"\x86b"),
    "states of states": lambda: b"\x80\x02" + b"ca\nB\n)R" * 20_000 + b"b" * 19_999 + b".",
    "each in each": lambda: _complete_graph(40),
    "a tuple as a key": lambda: b"\x80\x04}K\x01" + b"2\x86" * 60 + b"K\x01s.",
    "a tuple in a set": lambda: b"\x80\x04\x8f(K\x01" + b"2\x86" * 60 + b"\x90.",
    "a tuple in a frozen set": lambda: b"\x80\x04(K\x01" + b"2\x86" * 60 + b"\x91.",
    "many tuples as keys": lambda: (
        b"\x80\x04}(" + b"".join(b"M" + n.to_bytes(2, "little") + b"\x85N" for n in range(20_000)) + b"u."
    ),
    "numbers that collide": lambda: _numbers_as_keys(61, 20_000),
    "a long key": lambda: b"\x80\x04}" + _text("x" * (1 << 20)) + b"Ns.",
    "a memo index": lambda: b"\x80\x04Nr\xff\xff\xff\x7f.",
    "a smaller memo index": lambda: b"\x80\x04Nr\x00\x00\x00\x08.",
    "a memo index in words": lambda: b"(Np99999999999999999999\n.",
    "a large number": lambda: b"\x80\x04\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20) + b".",
    "a number of a negative length": lambda: b"\x80\x04\x8b\xff\xff\xff\xff.",
    "a number of many digits": lambda: b"(I" + b"9" * 20_000 + b"\n.",
    "a long number of many digits": lambda: b"(L" + b"9" * 20_000 + b"L\n.",
    "a fraction of many digits": lambda: b"(F" + b"9" * (1 << 20) + b"\n.",
    "bytes that are not there": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "text that is not there": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 63) + b".",
    "an array that is not there": lambda: b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "a string of a negative length": lambda: b"\x80\x02T\xff\xff\xff\xff.",
    "a frame that is not there": lambda: b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    "a buffer outside": lambda: b"\x80\x05\x97.",
    "a registered extension": lambda: b"\x80\x02\x82\x01.",
    "an identity outside": lambda: b"\x80\x02K\x01Q.",
    "deep lists": lambda: b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep tuples": lambda: b"\x80\x02N" + b"\x85" * 200_000 + b".",
    "marks": lambda: b"\x80\x02" + b"(" * 500_000 + b".",
    "steps without end": lambda: b"\x80\x02" + b"N0" * (1 << 20) + b"N.",
    "lists without end": lambda: b"\x80\x04" + b"]" * (1 << 21) + b".",
    "sets without end": lambda: b"\x80\x04" + b"\x8f" * (1 << 21) + b".",
    "dicts without end": lambda: _again_and_again(b"ccollections\nOrderedDict\n", b")", 1 << 20),
    "records without end": lambda: _again_and_again(b"ca\nB\n", b")", 1 << 20),
    "tensors without end": lambda: zipped(
        {"a/data.pkl": _again_and_again(REBUILD_NAME, ONE_NUMBER, 1 << 20), "a/data/0": bytes(4)}
    ),
    "files in files": lambda: _nested_files(50),
    "one file again and again": lambda: _again_and_again(
        LOAD_NAME, _bytes(b"\x80\x04" + _bytes(bytes(2_000_000)) + b".") + b"\x85", 500
    ),
    "one text encoded again and again": lambda: _again_and_again(
        b"c_codecs\nencode\n", _text("\xe9" * 500_000) + _text("latin1") + b"\x86", 2000
    ),
    "one list made a set again and again": lambda: _again_and_again(
        b"c__builtin__\nset\n", b"](" + b"K\x01" * 100_000 + b"e\x85", 2000
    ),
    "one shape again and again": lambda: zipped(
        {"a/data.pkl": _again_and_again(REBUILD_NAME, _shape_of_many(300_000), 200_000), "a/data/0": bytes(4)}
    ),
    "a name that grows": lambda: _growing_name(100_000),
    "a name of a million letters": lambda: b"\x80\x04c" + b"x" * (1 << 20) + b"\nB\n.",
    "a storage of a long name": lambda: zipped(
        {"a/data.pkl": pickled(TensorMention(StorageMention("x" * 20_000, 1), (1,), (1,))), "a/data/0": bytes(4)}
    ),
    "three times zeros": lambda: b"\x80\x04" + (LOAD_NAME + _bytes(_zeros(32 << 20)) + b"\x85R") * 3 + b"\x87.",
    "zeros in storages": lambda: zipped(
        {"a/data.pkl": pickled([TensorMention(StorageMention(str(n), 1 << 23), (1,), (1,)) for n in range(3)])}
        | {f"a/data/{n}": ZEROS for n in range(3)},
        zipfile.ZIP_DEFLATED,
    ),
    "a header that is not there": lambda: struct.pack("<Q", 1 << 40) + b"{}",
    "a large header": lambda: struct.pack("<Q", 9 << 20) + b"{" + b" " * (9 << 20),
    "a header nested in itself": lambda: _tensor_list(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a header with a large number": lambda: _tensor_list(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 100_000 + b'],"data_offsets":[0,4]}}', bytes(4)
    ),
}


def _tensor_list(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


READING = """
import json, resource, sys
from pathlib import Path
from i2i_registry.errors import CheckpointError
from i2i_registry.checkpoints.reader import read_checkpoint
from i2i_registry.actions.inspect import MOST_LINES, inspect_file

used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), used + (300 << 20)))
spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
resource.setrlimit(resource.RLIMIT_CPU, (spent + 200, spent + 200))
for path in map(Path, sys.argv[1:]):
    for read in (read_checkpoint, inspect_file)[: 1 + (path.stat().st_size < 1000)]:
        try:
            read(path)
            outcome = "read"
        except CheckpointError as error:
            outcome = str(error)
        except BaseException as error:
            outcome = "WRONG " + repr(error)
        print(json.dumps([path.name, outcome]), flush=True)
"""


def _read_with_little(files: list[Path]) -> dict[str, list[str]]:
    """What comes of files in a process that may take 300 MB more than it takes to start: name -> outcomes."""
    result = subprocess.run(
        [sys.executable, "-c", READING, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    outcomes: dict[str, list[str]] = {}
    for name, outcome in map(json.loads, result.stdout.splitlines()):
        outcomes.setdefault(name, []).append(outcome)
    assert result.returncode == 0, f"ended after {list(outcomes)[-1:]}: {result.stderr}"
    return outcomes


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("bombs")
    files: list[Path] = []
    for name, make in BOMBS.items():
        files.append(folder / name)
        files[-1].write_bytes(make())
    return _read_with_little(files)


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_all_memory_or_time_is_refused_with_little_of_both(
    bombs: dict[str, list[str]], bomb: str
) -> None:
    for outcome in bombs[bomb]:
        assert " cannot be read" in outcome
        assert "not enough memory" not in outcome


RIGHT_VALUES = {
    "s01_laughs_tuple_60.pkl": "nested in each other",
    "s02_laughs_list_60.pkl": "nested in each other",
    "s03_hash_bomb_key.pkl": "a key of its dictionaries",
    "s05_laughs_in_zip.pt": "nested in each other",
    "s10_bigint_value.pkl": "whole number of 20000 bytes",
    "s13_escape_key.pkl": "read",
    "s14_od_shadow_values.pkl": "read",
    "s17_memo_bomb.pkl": "remembers object 2147483647",
    "s18_memo_bomb_small.pkl": "remembers object 134217728",
    "s37_legacy_trunc2.pth": "cannot be read",
    "t36_nested.pt": "its tensor 'a' is nested",
    "z09_bad_cd_magic.pt": "directory of the archive is damaged",
    "f22_escape_key.safetensors": "read",
    "o14_conj.pth": "its tensor 'model.4.weight' is marked conj",
    "q01_short_storage.pth": "its tensor 'model.4.weight' lies on the storage 2, which has 8 bytes in place of 1152",
    "q06_crc_mismatch.pth": "its tensor 'model.4.weight' cannot be read: the checksum",
    "q20_recompressed.pth": "read",
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded cases are not here")
def test_the_recorded_cases_have_their_right_values() -> None:
    files = [path for part in ("foreign", "official") for path in sorted((CASES / part).iterdir())]
    outcomes = _read_with_little(files)
    for name, value in RIGHT_VALUES.items():
        assert all(value in outcome for outcome in outcomes[name]), (name, outcomes[name])
    assert not [outcome for found in outcomes.values() for outcome in found if outcome.startswith("WRONG")]
    checkpoint = read_checkpoint(CASES / "official" / "q20_recompressed.pth")
    assert len(checkpoint.tensors) == 16
    assert all(tensor.isfinite().all() and tensor.abs().sum() > 0 for tensor in checkpoint.tensors.values())


def test_names_in_a_file_are_shown_without_their_effect(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\nerror: \u202efake"
    shown = r"\x1b]0;owned\x07\x1b[2J\r\nerror: \u202efake"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({evil: 1, "text": evil}))
    lines = inspect_file(tmp_path / "a.pkl").lines
    assert lines[0] == f"{shown}  1"
    assert all(line.isprintable() for line in lines)
    header = json.dumps({evil: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(_tensor_list(header, bytes(4)))
    assert inspect_file(tmp_path / "a.safetensors").lines == (f"{shown}  F32 [1]",)
    (tmp_path / "b.pkl").write_bytes(b"\x80\x02cos\n" + evil.replace("\n", "").encode() + b"\n.")
    with pytest.raises(CheckpointError, match="would run") as caught:
        read_checkpoint(tmp_path / "b.pkl")
    assert caught.value.found.isprintable()


def test_the_outline_of_a_file_with_a_million_parts_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": torch.ones(1), "losses": [0.5] * (MOST_LINES + 10)}, 4))
    lines = inspect_file(tmp_path / "a.pkl").lines
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].startswith("... and 12 more")


def test_attributes_that_hide_methods_do_no_harm(tmp_path: Path) -> None:
    hiding = b"\x80\x04ccollections\nOrderedDict\n)R}" + _text("values") + b"K\x05sb."
    (tmp_path / "a.pkl").write_bytes(hiding)
    assert read_checkpoint(tmp_path / "a.pkl").content == {}


@pytest.mark.parametrize("place", ["pipe", "socket", "folder", "device", "nothing", "x" * 5000, "a\0b"])
def test_what_is_no_file_is_an_error_at_once(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_checkpoint(tmp_path / place)
    assert len(str(caught.value)) < 1000


A_FLOAT = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
LISTS: dict[str, bytes] = {
    "a name twice": b"{" + A_FLOAT + b"," + A_FLOAT + b"}",
    "a field too many": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}',
    "a field twice": b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "a gap": b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}',
    "an overlap": b"{" + A_FLOAT + b',"b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}',
    "bytes behind": b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}',
    "beyond the end": b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
    "another size": b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
    "a negative size": b'{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}',
    "sizes that overflow": b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}',
    "a fraction": b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}',
    "a rare dtype": b'{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}',
    "a dtype that is none": b'{"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}}',
    "metadata that are numbers": b'{"__metadata__":{"a":1},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "many dimensions": b'{"a":{"dtype":"F32","shape":[' + b"1," * 40 + b'1],"data_offsets":[0,4]}}',
    "empty and huge": b'{"a":{"dtype":"F32","shape":[0,281474976710655,281474976710655,4],"data_offsets":[0,0]}}',
    "no JSON": b"{nothing",
    "no object": b"[1, 2]  ",
    "not UTF-8": b'{"\xff":1}',
}


@pytest.mark.parametrize("fault", LISTS)
def test_a_list_of_tensors_that_is_not_what_follows_is_refused(tmp_path: Path, fault: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(_tensor_list(LISTS[fault], bytes(4)))
    for read in (read_checkpoint, inspect_file):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read(tmp_path / "a.safetensors")
