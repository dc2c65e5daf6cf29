"""Every format that checkpoints come in is read as torch and safetensors themselves read it."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from i2i_registry.checkpoints.reader import read_checkpoint
from i2i_registry.checkpoints.tensor_files import read_header, read_tensors
from i2i_registry.errors import CheckpointError

from .checkpoint_bytes import (
    StorageMention,
    TensorMention,
    deflated,
    pickled,
    saved,
    torch_stream,
    torch_tar,
    torch_zip,
    zipped,
)

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
]
NEWER_DTYPES = [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64]
"""those that have no storage class of their own"""


def _numbers(dtype: torch.dtype) -> Tensor:
    return (torch.arange(24) % 7 - 2 * (dtype.is_floating_point or dtype.is_complex)).to(dtype).reshape(4, 6)


def _content() -> OrderedDict[str, Tensor]:
    """All dtypes, and tensors that lie on their storage in all ways that torch has."""
    content = OrderedDict((str(dtype), _numbers(dtype)) for dtype in (*DTYPES, *NEWER_DTYPES))
    base = torch.arange(60.0).reshape(3, 4, 5)
    content |= {
        "base": base,
        "row": base[1],
        "transposed": base.permute(2, 0, 1),
        "every_second": base[::2, 1:, ::2],
        "scalar": torch.tensor(2.5),
        "one_of_many": base[2, 3, 4],
        "empty": torch.empty(0, 3),
        "empty_slice": base[:, 2:2],
        "channels_last": torch.arange(96.0).reshape(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "dotted.name": torch.ones(1),
    }
    vars(content)["_metadata"] = OrderedDict({"": {"version": 1}})  # as state dicts have it
    return content


def _assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        ours = found[key]
        assert (ours.dtype, ours.shape) == (tensor.dtype, tensor.shape), key
        assert not tensor.numel() or ours.stride() == tensor.stride(), key
        raw = [value.contiguous().reshape(-1).view(torch.uint8) for value in (ours, tensor.detach())]
        assert torch.equal(*raw), key


FORMATS: dict[str, Callable[[object], bytes]] = {
    "zip": saved,
    "deflated": lambda value: deflated(saved(value)),
    "legacy": lambda value: saved(value, new_format=False),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_torch_is_read_as_torch_reads_it(tmp_path: Path, form: str) -> None:
    written = FORMATS[form](_content())
    (tmp_path / "a.pth").write_bytes(written)
    # torch reads no deflated member right, and in the old format no dtype without a storage class.
    known = {key: value for key, value in _content().items() if form != "legacy" or value.dtype not in NEWER_DTYPES}
    oracle = io.BytesIO(FORMATS["legacy" if form == "legacy" else "zip"](known))
    expected = _content() | torch.load(oracle, weights_only=True)  # noqa: TID251 - the oracle, on our own bytes
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    _assert_same(dict(checkpoint.tensors), dict(expected))
    assert checkpoint.format == ("torch (before 1.6)" if form == "legacy" else "torch")
    assert checkpoint.sha256 == hashlib.sha256(written).hexdigest()
    base, row = checkpoint.tensors["base"], checkpoint.tensors["row"]
    assert base.untyped_storage().data_ptr() == row.untyped_storage().data_ptr()  # shared there, shared here


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_of_any_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    content = {key: value for key, value in _content().items() if "parameter" not in key}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    _assert_same(dict(read_checkpoint(tmp_path / "a.pkl").tensors), content)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_any_protocol_are_read_as_they_are(tmp_path: Path, protocol: int) -> None:
    values = {
        "numbers": [0, 255, -1, 65536, -(2**31), 2**40, -(2**100), 2**600, 0.1, -1e300, float("inf")],
        "texts": ["", "plain", "Zürich \u2603 \U0001f600\n\\", "x" * 300],
        "bytes": [b"", b"\x00\xff", bytes(300)],
        "others": (None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"a": {}}),
        "sets": [{1, 2}, set[int]()],
        7: {(1, "a"): 1, None: 2, 2.5: 3, b"k": 4},
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(values, protocol))
    assert read_checkpoint(tmp_path / "a.pkl").content == values


def test_values_that_only_newer_protocols_have(tmp_path: Path) -> None:
    values = [frozenset({1, "a"}), bytearray(b"abc"), {"s": set(range(2000))}, list(range(3000))]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(values, 5))
    assert read_checkpoint(tmp_path / "a.pkl").content == values


def test_text_of_python_2_is_taken_byte_for_byte(tmp_path: Path) -> None:
    written = b"(lp0\nS'caf\\xe9\\'s'\np1\naU\x03abcaT\x01\x00\x00\x00\xffaI01\naL12L\naF0.5\na."
    (tmp_path / "a.pkl").write_bytes(written)
    assert read_checkpoint(tmp_path / "a.pkl").content == ["caf\xe9's", "abc", "\xff", True, 12, 0.5]


def test_what_the_oldest_torch_wrote_is_read_without_unpacking(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(torch_tar())
    checkpoint = read_checkpoint(tmp_path / "a.pth")
    assert checkpoint.format == "torch (tar)"
    expected = torch.arange(6.0).reshape(2, 3)
    _assert_same(dict(checkpoint.tensors), {"w": expected, "row": expected[1]})


def test_parts_of_storages_as_old_streams_have_them(tmp_path: Path) -> None:
    whole = StorageMention("0", 6)
    part = StorageMention("0", 6, view=("1", 2, 4))
    numbers = torch.arange(6.0)
    value = {"whole": TensorMention(whole, (6,), (1,)), "part": TensorMention(part, (2, 2), (2, 1))}
    content = numbers.numpy().tobytes()
    (tmp_path / "a.pth").write_bytes(torch_stream(value, {"0": (6, content)}))
    _assert_same(dict(read_checkpoint(tmp_path / "a.pth").tensors), {"whole": numbers, "part": numbers[2:].view(2, 2)})


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_numbers_of_a_big_endian_machine_are_turned(tmp_path: Path, form: str) -> None:
    real, complex_ = np.arange(3, dtype=">f4"), (np.arange(2) * (1 + 2j)).astype(">c8")
    value = {
        "w": TensorMention(StorageMention("0", 3), (3,), (1,)),
        "c": TensorMention(StorageMention("1", 2, torch.ComplexFloatStorage), (2,), (1,)),
    }
    storages = {"0": real.tobytes(), "1": complex_.tobytes()}
    written = (
        torch_zip(value, storages, byteorder=b"big")
        if form == "zip"
        else torch_stream(value, {"0": (3, storages["0"]), "1": (2, storages["1"])}, little_endian=False)
    )
    (tmp_path / "a.pth").write_bytes(written)
    tensors = read_checkpoint(tmp_path / "a.pth").tensors
    assert tensors["w"].tolist() == [0, 1, 2]
    assert tensors["c"].tolist() == [0, 1 + 2j]


@pytest.mark.parametrize("place", ["archive/", "模型/"])
def test_a_folder_that_was_zipped_by_hand_is_read(tmp_path: Path, place: str) -> None:
    # Entries for the folders themselves, another order, and a member that is none of torch's.
    value = pickled({"w": TensorMention(StorageMention("0", 2), (2,), (1,))})
    data = torch.ones(2).numpy().tobytes()
    members = {
        place: b"",
        f"{place}data/": b"",
        f"{place}data/0": data,
        f"{place}data.pkl": value,
        "notes.txt": b"mine",
    }
    (tmp_path / "a.pt").write_bytes(zipped(members, zipfile.ZIP_DEFLATED))
    assert read_checkpoint(tmp_path / "a.pt").tensors["w"].tolist() == [1, 1]


@pytest.mark.skipif(shutil.which("zip") is None, reason="the program zip is not installed")
def test_what_the_program_zip_writes_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(_content()))) as archive:
        archive.extractall(tmp_path / "unpacked")
    program = str(shutil.which("zip"))
    subprocess.run([program, "-qr", tmp_path / "a.pt", "archive"], cwd=tmp_path / "unpacked", check=True)
    _assert_same(dict(read_checkpoint(tmp_path / "a.pt").tensors), dict(_content()))


@pytest.mark.parametrize("oddity", ["bzip2", "lzma", "comment", "large comment"])
def test_a_whole_archive_of_a_rare_kind_is_refused_with_what_to_do_and_that_works(tmp_path: Path, oddity: str) -> None:
    method = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}.get(oddity, zipfile.ZIP_STORED)
    with zipfile.ZipFile(io.BytesIO(saved(_content()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "a.pt").write_bytes(zipped(members, method))
    if "comment" in oddity:
        with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
            archive.comment = b"x" * (0xFFFF if oddity == "large comment" else 1)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert "unpack it, and zip the folder again" in caught.value.fix
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        archive.extractall(tmp_path / "unpacked")
    shutil.make_archive(str(tmp_path / "again"), "zip", tmp_path / "unpacked")
    _assert_same(dict(read_checkpoint(tmp_path / "again.zip").tensors), dict(_content()))


@pytest.mark.parametrize("tensor", [torch.ones(2).to_sparse(), torch.ones(1).expand(2)])
def test_a_tensor_that_is_not_plain_is_refused_with_what_to_do_and_that_works(tmp_path: Path, tensor: Tensor) -> None:
    (tmp_path / "a.pt").write_bytes(saved({"w": tensor}))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "a.pt")
    way = "to_dense" if tensor.is_sparse else "clone"
    assert f"tensor.{way}()" in caught.value.fix
    (tmp_path / "a.pt").write_bytes(saved({"w": getattr(tensor, way)()}))
    assert read_checkpoint(tmp_path / "a.pt").tensors["w"].tolist() == [1, 1]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_were_written_to_a_pipe_or_with_sizes_of_64_bits_are_read(
    tmp_path: Path, method: int, *, wide: bool
) -> None:
    written = (tmp_path / "a.pt").open("wb")
    with (
        zipfile.ZipFile(io.BytesIO(saved(_content()))) as source,
        written,
        zipfile.ZipFile(Pipe(written), "w") as target,
    ):
        for name in source.namelist():
            member = zipfile.ZipInfo(name)
            member.compress_type = method
            with target.open(member, "w", force_zip64=wide) as file:
                file.write(source.read(name))
    _assert_same(dict(read_checkpoint(tmp_path / "a.pt").tensors), dict(_content()))


class Pipe(io.RawIOBase):
    """A file in which one cannot go back."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        return self.file.write(content)


def test_headers_as_torch_writes_them_beyond_four_gigabytes_are_read(tmp_path: Path) -> None:
    # There the header of a member repeats its sizes and its place in 64 bits, and the descriptor has 64 bits.
    value = pickled({"w": TensorMention(StorageMention("0", 2), (2,), (1,))})
    body, directory = b"", b""
    for name, content in ((b"a/data.pkl", value), (b"a/data/0", np.ones(2, np.float32).tobytes())):
        crc, size, at = zlib.crc32(content), len(content), len(body)
        extra = struct.pack("<HH3Q", 1, 24, size, 0, at)
        header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 0, 0x808, 0, 0, 0, 0, 0, 0, len(name), len(extra))
        body += header + name + extra + content + struct.pack("<4sI2Q", b"PK\x07\x08", crc, size, size)
        full = 0xFFFFFFFF
        wide = struct.pack("<HH3Q", 1, 24, size, size, at)
        fields = (0, 0, 0x808, 0, 0, 0, crc, full, full, len(name), len(wide), 0, 0, 0, 0, full)
        directory += struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name + wide
    end = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 0, 0, 0, 0, 2, 2, len(directory), len(body))
    end += struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body) + len(directory), 1)
    end += struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "a.pt").write_bytes(body + directory + end)
    assert read_checkpoint(tmp_path / "a.pt").tensors["w"].tolist() == [1, 1]


class Outer:
    """Has a class inside, which protocols 0 to 3 pickle with getattr."""

    class Inner:
        """An object with a tensor."""

        def __init__(self) -> None:
            self.weight = torch.ones(1)


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_of_a_class_inside_a_class_is_a_record(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Outer.Inner(), protocol))
    checkpoint = read_checkpoint(tmp_path / "a.pkl")
    assert list(checkpoint.tensors) == ["weight"]
    assert checkpoint.records()[0].endswith("Outer.Inner")


def test_numpy_arrays_and_scalars_are_kept_as_records(tmp_path: Path) -> None:
    content = {"array": np.arange(3.0), "scalar": np.float32(1.5), "w": torch.ones(1)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    checkpoint = read_checkpoint(tmp_path / "a.pkl")
    assert list(checkpoint.tensors) == ["w"]
    assert any("multiarray" in name for name in checkpoint.records())


@pytest.mark.parametrize("name", ["a.safetensors", "renamed.pth"])
def test_safetensors_are_read_as_the_library_reads_them(tmp_path: Path, name: str) -> None:
    content = {key: value.contiguous().clone() for key, value in _content().items() if "complex128" not in key}
    written = save_safetensors(content, {"format": "pt"})
    (tmp_path / name).write_bytes(written)
    checkpoint = read_checkpoint(tmp_path / name)
    assert checkpoint.format == "safetensors"
    _assert_same(dict(checkpoint.tensors), load_safetensors(written))
    if name.endswith("safetensors"):
        _assert_same(read_tensors(tmp_path / name, hashlib.sha256(written).hexdigest()), load_safetensors(written))
        header = read_header(tmp_path / name)
        assert dict(header.metadata) == {"format": "pt"}
        assert {key: entry.shape for key, entry in header.entries.items()} == {k: v.shape for k, v in content.items()}


def test_a_module_that_shares_its_parts_names_each_of_them(tmp_path: Path) -> None:
    shared = torch.nn.Conv2d(1, 1, 1)
    module = torch.nn.ModuleDict({"a": torch.nn.Sequential(shared), "b": torch.nn.Sequential(shared)})
    (tmp_path / "a.pth").write_bytes(saved([module, module, {"again": module}]))
    names = {key for key, _ in module.named_parameters(remove_duplicate=False)}
    expected = {f"{place}.{name}" for place in ("0", "1", "2.again") for name in names}
    assert set(read_checkpoint(tmp_path / "a.pth").tensors) == expected
