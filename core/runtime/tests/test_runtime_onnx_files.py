"""One reader decides what an .onnx refers to: whatever another could read in another way is refused, and bounded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from onnx import TensorProto, helper

import i2i_runtime as i2i
from i2i_runtime.archive import onnx_files, onnx_schema, onnx_wire
from i2i_runtime.archive.onnx_files import summarise
from i2i_runtime.archive.onnx_schema import SCHEMA
from i2i_runtime.archive.onnx_tensors import MAX_RANK

IMAGE = np.full((16, 16, 3), 9, np.uint8)
OTHER_FILE = "secret.bin"

Bytes = bytes | bytearray


# --- Building files by hand -------------------------------------------------------------------------------------------


def varint(value: int, spare: int = 0) -> bytes:
    """A number, in `spare` bytes more than it needs."""
    parts: list[int] = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    padded = [value | 128, *[128] * (spare - 1), 0] if spare else [value]
    return bytes(parts + padded)


def part(number: int, content: Bytes, tag: bytes | None = None) -> bytes:
    """A field that holds bytes."""
    return (tag or varint(number << 3 | 2)) + varint(len(content)) + bytes(content)


def entry(key: str, value: str) -> bytes:
    return part(1, key.encode()) + part(2, value.encode())


TENSOR = varint(8) + b"\x01" + varint(16) + b"\x01" + part(8, b"w")
"""float32 [1] named w, without values"""
OUTSIDE = entry("location", OTHER_FILE)

# A tensor whose values lie outside, in encodings that protobuf's own readers accept or once accepted.
HIDDEN = {
    "plain": part(13, OUTSIDE) + varint(14 << 3) + b"\x01",
    "tag in a spare byte": part(13, OUTSIDE, tag=varint(13 << 3 | 2, spare=1)),
    "tag in two spare bytes": part(13, OUTSIDE, tag=varint(13 << 3 | 2, spare=2)),
    "tag that wraps at 32 bits": part(13, OUTSIDE, tag=varint((13 << 3 | 2) + 2**32)),
    "length in a spare byte": varint(13 << 3 | 2) + varint(len(OUTSIDE), spare=1) + OUTSIDE,
    "group": varint(13 << 3 | 3) + OUTSIDE + varint(13 << 3 | 4),
    "only the place": varint(14 << 3) + b"\x01",
    "a place that wraps": varint(14 << 3) + varint(2**32 + 1),
    "a place, then none": varint(14 << 3) + b"\x01" + varint(14 << 3) + b"\x00",
    "behind an unknown field": part(99, b"x") + part(13, OUTSIDE),
    "behind the field number 0": part(0, b"x") + part(13, OUTSIDE),
    "an address in memory": part(13, entry("location", "*/_ORT_MEM_ADDR_/*")),
    "key and value twice": part(13, entry("x", "y") + OUTSIDE),
}

# Where onnx.proto lets a tensor be, as a model around it.
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "initializer": lambda t: part(7, part(5, t)),
    "a second graph": lambda t: part(7, b"") + part(7, part(5, t)),
    "attribute": lambda t: part(7, part(1, part(5, part(5, t)))),
    "attribute list": lambda t: part(7, part(1, part(5, part(10, t)))),
    "subgraph": lambda t: part(7, part(1, part(5, part(6, part(5, t))))),
    "subgraphs": lambda t: part(7, part(1, part(5, part(11, part(5, t))))),
    "subgraph of a subgraph": lambda t: part(7, part(1, part(5, part(6, part(1, part(5, part(6, part(5, t)))))))),
    "sparse values": lambda t: part(7, part(15, part(1, t))),
    "sparse indices": lambda t: part(7, part(15, part(2, t))),
    "sparse attribute": lambda t: part(7, part(1, part(5, part(22, part(1, t))))),
    "sparse attributes": lambda t: part(7, part(1, part(5, part(23, part(2, t))))),
    "function": lambda t: part(25, part(7, part(5, part(5, t)))),
    "default of a function": lambda t: part(25, part(11, part(5, t))),
    "training": lambda t: part(20, part(1, part(5, t))),
    "training step": lambda t: part(20, part(2, part(1, part(5, part(5, t))))),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_values_outside_the_file_are_found_wherever_and_however_they_are_named(hidden: str, place: str) -> None:
    data = varint(8) + b"\x0a" + PLACES[place](TENSOR + HIDDEN[hidden])
    try:
        external = summarise(data, "g.onnx").external
    except i2i.BundleError:
        return
    assert external


# --- Before a session exists ------------------------------------------------------------------------------------------


def replace_graph(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes in the place of a graph, with the hash and size that a manifest by the same hand would have."""
    (folder / f"{name}.onnx").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graphs"][name].update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_bundle_with_values_outside_is_refused_before_a_session_exists(tiny: Path, hidden: str) -> None:
    replace_graph(tiny, "keep", (tiny / "keep.onnx").read_bytes() + part(7, part(5, TENSOR + HIDDEN[hidden])))
    (tiny / OTHER_FILE).write_bytes(b"abcd")
    with pytest.raises(i2i.BundleError, match=r"keep\.onnx"):
        i2i.load(tiny)
    with pytest.raises(i2i.BundleError, match=r"keep\.onnx"):
        i2i.load(tiny / "keep.onnx")


def test_operators_of_others_are_refused(tiny: Path) -> None:
    """EPContext, for one, names a file in an attribute."""
    model = onnx.load(str(tiny / "keep.onnx"))
    model.graph.node.append(
        helper.make_node("EPContext", [], ["e"], domain="com.microsoft", ep_cache_context="/etc/passwd", embed_mode=0)
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    replace_graph(tiny, "keep", model.SerializeToString())
    with pytest.raises(i2i.BundleError, match=r"keep\.onnx uses the operator 'EPContext' of 'com\.microsoft'"):
        i2i.load(tiny)


def test_a_file_that_is_also_of_onnxruntime_s_own_format_is_refused() -> None:
    data = part(2, b"..ORTM") + onnx.ModelProto(ir_version=10).SerializeToString()
    assert data[4:8] == b"ORTM"
    onnx.ModelProto.FromString(data)
    with pytest.raises(i2i.BundleError, match="onnxruntime's own format"):
        summarise(data, "g.onnx")


def exchanged(data: bytes) -> bytes:
    """A graph as good as the first, which gives the negative."""
    model = onnx.ModelProto.FromString(data)
    for tensor in model.graph.initializer:
        if tensor.name == "sign":
            tensor.raw_data = np.array([-1], np.float32).tobytes()
    return model.SerializeToString()


def exchange(path: Path, form: str) -> None:
    """Replace the graph `keep` of a loaded bundle."""
    if form != "zip":
        place = path / "keep.onnx" if form == "folder" else path
        new = place.with_suffix(".new")
        new.write_bytes(exchanged(place.read_bytes()))
        os.replace(new, place)  # noqa: PTH105 - as an attacker would
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, exchanged(data) if name == "keep.onnx" else data)


@pytest.mark.parametrize("form", ["folder", "zip", "lone file"])
def test_a_file_that_is_exchanged_before_the_first_call_is_not_used(tiny: Path, tmp_path: Path, form: str) -> None:
    path = tiny
    if form == "zip":
        path = tmp_path / "tiny.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in tiny.iterdir():
                archive.write(file, file.name)
    elif form == "lone file":
        path = tiny / "keep.onnx"
    before, after = i2i.load(path), i2i.load(path)
    assert (before.translate(IMAGE) == IMAGE).all()
    exchange(path, form)
    with pytest.raises(i2i.BundleError, match=r"has changed since the bundle was loaded[\s\S]*load the bundle again"):
        after.translate(IMAGE)
    assert (before.translate(IMAGE) == IMAGE).all()


# --- What is in a file ------------------------------------------------------------------------------------------------


def test_metadata_and_operators_are_found_without_onnx(tiny: Path) -> None:
    summary = summarise((tiny / "keep.onnx").read_bytes(), "keep.onnx")
    model = onnx.load(str(tiny / "keep.onnx"))
    assert dict(summary.metadata) == {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(summary.metadata["i2i_manifest"])["name"] == "tiny"
    assert summary.external == frozenset()
    assert summary.operators == {("", "Mul"), ("", "ReduceMean"), ("", "AveragePool")}


def test_the_schema_is_that_of_the_installed_onnx() -> None:
    """Every message that a model can hold, every field with its encoding; a new one has to be looked at."""
    kinds = {
        FieldDescriptor.TYPE_FLOAT: "fixed32",
        FieldDescriptor.TYPE_DOUBLE: "fixed64",
        FieldDescriptor.TYPE_STRING: "bytes",
        FieldDescriptor.TYPE_BYTES: "bytes",
        FieldDescriptor.TYPE_MESSAGE: "message",
    }
    found: dict[str, dict[int, onnx_schema.Field]] = {}
    waiting: list[Descriptor] = [onnx.ModelProto.DESCRIPTOR]  # pyright: ignore[reportAssignmentType]
    while waiting:
        message = waiting.pop()
        if message.name in found:
            continue
        fields: dict[int, onnx_schema.Field] = {}
        for field in message.fields:
            inner = field.message_type
            fields[field.number] = onnx_schema.Field(
                kinds.get(field.type, "varint"),  # pyright: ignore[reportArgumentType]
                repeated=field.is_repeated,
                message=inner.name if inner else "",
            )
            waiting += [inner] if inner else []
        found[message.name] = fields
    assert found == {name: dict(fields) for name, fields in SCHEMA.items()}


@pytest.mark.parametrize("kind", sorted(set(TensorProto.DataType.values()) - {0, 27, 28}))
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_every_type_hold_as_many_values_as_they_say(kind: int, raw: bool) -> None:  # noqa: FBT001
    if raw and kind == TensorProto.STRING:
        return
    values: Any = [b"x"] * 5 if kind == TensorProto.STRING else [1] * 5
    if raw:
        bits = {4: range(21, 24), 2: range(25, 27)}
        width = next((width for width, kinds in bits.items() if kind in kinds), 0)
        size = -(-5 * width // 8) if width else 5 * np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize
        tensor = helper.make_tensor("t", kind, [5], bytes(size), raw=True)
    else:
        tensor = helper.make_tensor("t", kind, [5], values)
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    summarise(model.SerializeToString(), "g.onnx")
    for dims in ([9], [2**40], [5, 2**62, 4], [0]):
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        with pytest.raises(i2i.BundleError, match=r"a tensor of the dimensions"):
            summarise(model.SerializeToString(), "g.onnx")


# --- Bounds -----------------------------------------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = part(1, part(5, part(6, data)))
    return part(7, data)


def doubling(levels: int) -> bytes:
    """Functions, each of which calls the one before it twice."""
    made = b""
    for level in range(levels):
        inner = part(4, f"f{level - 1}".encode()) + part(7, b"own") if level else part(4, b"Identity")
        body = part(7, inner) * 2
        made += part(25, part(1, f"f{level}".encode()) + part(10, b"own") + body)
    return made + part(7, part(1, part(4, f"f{levels - 1}".encode()) + part(7, b"own")))


BOMBS = {
    "a million fields": part(7, b"\x0a\x00" * (onnx_wire.MAX_FIELDS + 1)),
    "a million numbers": part(7, part(5, b"\x08\x01" * (onnx_wire.MAX_FIELDS + 1))),
    "deep subgraphs": nested(10_000),
    "deep types": part(7, part(11, part(2, b"\x22\x00"))),
    "functions that double": doubling(30),
    "functions in a circle": part(25, part(1, b"f") + part(10, b"own") + part(7, part(4, b"f") + part(7, b"own"))),
    "many dimensions": part(7, part(5, part(1, b"\x01" * (MAX_RANK + 1)) + b"\x10\x01")),
    "a number without an end": b"\x08" + b"\x80" * 1_000_000,
    "a sparse matrix of 2^40": part(7, part(15, part(3, varint(2**40)))),
    "more bytes than there are": b"\x3a" + varint(2**40),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_within_bounds(bomb: str, tmp_path: Path) -> None:
    data = BOMBS[bomb]
    if bomb == "deep types":
        data = b""
        for _ in range(10_000):
            data = part(4, part(1, data))
        data = part(7, part(11, part(2, data)))
    (tmp_path / "g.onnx").write_bytes(data)
    code = (
        "import resource, sys, i2i_runtime\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "try: i2i_runtime.load(sys.argv[1])\n"
        "except i2i_runtime.BundleError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "g.onnx")], capture_output=True, text=True, check=True
    )
    assert "that can be trusted" in done.stdout
    assert len(done.stdout) < 1000


def test_functions_within_bounds_are_fine() -> None:
    summary = summarise(doubling(10), "g.onnx")
    assert summary.operators == {("", "Identity")}
    assert onnx_files.MAX_NODES > 2**10
