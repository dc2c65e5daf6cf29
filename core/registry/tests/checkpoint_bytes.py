"""Checkpoint files for tests, written byte by byte: honest ones, and those that no honest program writes."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from typing import ClassVar

import torch

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
REBUILD: object = vars(torch)["_utils"]._rebuild_tensor_v2
LOAD_FROM_BYTES: object = vars(torch.storage)["_load_from_bytes"]


class StorageMention:
    """Stands where torch mentions a storage: written as a persistent id."""

    def __init__(self, key: str, count: int, kind: object = torch.FloatStorage, view: object = None) -> None:
        self.identity = ("storage", kind, key, "cpu", count)
        self.view = view


class TensorMention:
    """Is pickled as torch pickles a tensor, with whatever sizes and strides."""

    def __init__(
        self, storage: object, sizes: object, strides: object, offset: object = 0, metadata: object = None
    ) -> None:
        self.arguments = (storage, offset, sizes, strides, False, {})
        if metadata is not None:
            self.arguments = (*self.arguments, metadata)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return REBUILD, self.arguments


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.parts


class _Pickler(pickle.Pickler):
    views: ClassVar[bool] = False

    def persistent_id(self, obj: object) -> object:
        if not isinstance(obj, StorageMention):
            return None
        return (*obj.identity, obj.view) if self.views else obj.identity


class _ViewPickler(_Pickler):
    views = True


def pickled(value: object, *, views: bool = False) -> bytes:
    """A pickle in which storages are mentioned; `views` as the stream format has them."""
    out = io.BytesIO()
    (_ViewPickler if views else _Pickler)(out, 2).dump(value)
    return out.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def torch_zip(value: object, storages: Mapping[str, bytes], **more: bytes) -> bytes:
    """A file of torch.save since 1.6. `more`: other members."""
    named = {f"archive/data/{key}": content for key, content in storages.items()}
    others = {f"archive/{key}": content for key, content in more.items()}
    return zipped({"archive/data.pkl": pickled(value), **others, **named, "archive/version": b"3\n"})


def torch_stream(value: object, storages: Mapping[str, tuple[int, bytes]], *, little_endian: bool = True) -> bytes:
    """A file of torch.save before 1.6. `storages`: key -> number of elements, bytes."""
    head = [pickle.dumps(part, 2) for part in (MAGIC, VERSION, {"little_endian": little_endian})]
    tail = [struct.pack("<q", count) + content for count, content in storages.values()]
    return b"".join([*head, pickled(value, views=True), pickle.dumps(list(storages), 2), *tail])


def torch_tar() -> bytes:
    """A file as torch 0.1 wrote it: {"w": 0..5 as [2, 3], "row": its second row}."""
    storage = pickle.dumps(1, 2) + pickle.dumps((7, "cpu", torch.FloatStorage), 2)
    storage += struct.pack("<q", 6) + struct.pack("<6f", *range(6)) + pickle.dumps([(8, 7, 3, 3)], 2)
    tensors = pickle.dumps(2, 2)
    for key, on, sizes, strides in ((1, 7, (2, 3), (3, 1)), (2, 8, (3,), (1,))):
        tensors += pickle.dumps((key, on, torch.FloatTensor), 2) + struct.pack("<ii", len(sizes), 0)
        tensors += struct.pack(f"<{2 * len(sizes)}q", *sizes, *strides) + struct.pack("<q", 0)
    # {"w": <persistent id "1">, "row": <persistent id "2">}
    content = b"\x80\x02}(X\x01\x00\x00\x00wX\x01\x00\x00\x001QX\x03\x00\x00\x00rowX\x01\x00\x00\x002Qu."
    parts = {"sys_info": pickle.dumps({"little_endian": True}, 2), "pickle": content}
    return tarred({**parts, "tensors": tensors, "storages": storage})


def tarred(members: Mapping[str, bytes]) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def saved(value: object, *, new_format: bool = True) -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=new_format)
    return out.getvalue()


def deflated(archive: bytes) -> bytes:
    """The same zip archive with its members packed, as any zip tool makes it of an unpacked folder."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return zipped({name: source.read(name) for name in source.namelist()}, zipfile.ZIP_DEFLATED)
