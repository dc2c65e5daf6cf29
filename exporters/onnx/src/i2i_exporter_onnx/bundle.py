"""Writing a bundle: a folder that appears whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir

from i2i_registry.errors import ExportError
from i2i_runtime.errors import UsageError
from i2i_runtime.files.atomic import atomic_folder
from i2i_runtime.files.regular import sha256_of
from i2i_runtime.schema.graphs import GraphFile, TensorSpec
from i2i_runtime.schema.manifest import GRAPH_KEY, MANIFEST_FILE, MANIFEST_KEY, Manifest

NO_HASH = "0" * 64
"""Stands for every sha256 in the copy of the manifest that a graph carries, as 1 does for every size: a file cannot
hold its own hash."""
LARGEST_FILE = 1_800_000_000
"""bytes; protobuf ends at 2 GiB, and the manifest still has to fit in. A graph is one file: nothing lies beside it."""

_DTYPES = {ir.DataType.FLOAT: "float32", ir.DataType.FLOAT16: "float16", ir.DataType.INT64: "int64"}


@contextmanager
def appearing(destination: Path) -> Generator[Path]:
    """Give a folder to fill, which becomes `destination` when the block ends well and vanishes when it does not.

    Raises UsageError when `destination` exists, and ExportError when the disk is full or not writable, or when another
    process is making a bundle of that name.
    """
    try:
        with atomic_folder(destination) as partial:
            yield partial
    except FileExistsError as error:
        raise UsageError(
            found=f"{destination} exists already",
            expected="a new folder for the bundle",
            fix="choose another one with -o, or remove it",
        ) from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise ExportError(
                found=f"another process is making {destination} at this moment",
                expected="one export to one place at a time",
                fix=f"wait until it is done, or choose another place: -o {destination}-2",
            ) from error
        raise ExportError(
            found=f"{destination} could not be written: {error.strerror or error}",
            expected="a writable folder with room for the bundle",
            fix="free some space or choose another folder; nothing was left behind",
        ) from error


def write_graph(model: ir.Model, folder: Path, name: str, largest: int = LARGEST_FILE) -> GraphFile:
    """Write one graph as "<name>.onnx".

    The record has placeholders for hashes and sizes, which `finish` fills in. Raises ExportError for one whose weights
    have more than `largest` bytes.
    """
    file = f"{name}.onnx"
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    if size > largest:
        raise ExportError(
            found=f"graph {name!r} has {size / 1e9:.2f} GB of weights",
            expected=f"at most {largest / 1e9:.2f} GB, what one .onnx file holds",
            fix="--precision fp16 halves them; or a smaller configuration of the model",
        )
    ir.save(model, folder / file)
    return GraphFile(
        file=file,
        sha256=NO_HASH,
        size=1,
        inputs=tuple(_spec(value) for value in model.graph.inputs),
        outputs=tuple(_spec(value) for value in model.graph.outputs),
    )


def finish(folder: Path, manifest: Manifest) -> Manifest:
    """Put the manifest into every graph, then the true hashes into the manifest, and that beside them."""
    text = manifest.model_dump_json()
    for name, graph in manifest.graphs.items():
        _append_metadata(folder / graph.file, {MANIFEST_KEY: text, GRAPH_KEY: name})
    graphs = {
        name: graph.model_copy(update=_fingerprint(folder / graph.file)) for name, graph in manifest.graphs.items()
    }
    final = manifest.model_copy(update={"graphs": graphs})
    (folder / MANIFEST_FILE).write_text(final.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return final


def _append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Add metadata at the end of a written file.

    Protobuf messages that follow each other in a file are one message: the bytes that were measured stay as they are.
    """
    entries = [onnx.StringStringEntryProto(key=key, value=value) for key, value in metadata.items()]
    with path.open("ab") as stream:
        stream.write(onnx.ModelProto(metadata_props=entries).SerializeToString())


def _fingerprint(path: Path) -> dict[str, str | int]:
    return {"sha256": sha256_of(path), "size": path.stat().st_size}


def _spec(value: ir.Value) -> TensorSpec:
    dtype = _DTYPES.get(value.dtype) if value.dtype is not None else None
    if dtype is None or value.name is None:
        raise ExportError(
            found=f"the graph passes {value.name!r} as {value.dtype}",
            expected=f"one of {sorted(_DTYPES.values())}",
            fix="cast it in the module's forward",
        )
    shape = tuple(length if isinstance(length, int) else str(length.value) for length in value.shape or ())
    return TensorSpec.model_validate({"name": value.name, "dtype": dtype, "shape": shape})
