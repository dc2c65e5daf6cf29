"""What is in a file: a bundle, an .onnx file, safetensors, or somebody's checkpoint."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from i2i_registry.checkpoints.tensor_files import read_header
from i2i_runtime.archive.opening import read_manifest, read_onnx
from i2i_runtime.errors import UsageError
from i2i_runtime.files.regular import open_regular
from i2i_runtime.schema.manifest import MANIFEST_FILE, MANIFEST_KEY, Manifest
from i2i_runtime.untrusted_text import printable

MOST_LINES = 10_000
"""Of the outline of a checkpoint. A list of a million losses is one."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The content of a file, for people (`lines`) and for programs (`data`)."""

    kind: str
    lines: tuple[str, ...]
    data: Mapping[str, object]


def inspect_file(path: Path) -> Inspection:
    """Look into a file or bundle folder, executing nothing.

    Raises UsageError when there is nothing, BundleError or CheckpointError when it is damaged or hostile.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", expected="a bundle, .onnx, .safetensors or checkpoint")
    if path.is_dir() or path.suffix == ".onnx" or _is_zipped_bundle(path):
        return _inspect_bundle(path)
    if path.suffix == ".safetensors":
        return _inspect_safetensors(path)
    return _inspect_checkpoint(path)


def _is_zipped_bundle(path: Path) -> bool:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return any(Path(name).name == MANIFEST_FILE for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # the reader of checkpoints says what is wrong with it


def _inspect_bundle(path: Path) -> Inspection:
    if path.suffix == ".onnx":
        _, summary = read_onnx(path)
        if MANIFEST_KEY not in summary.metadata:
            lines = [f"{printable(key)}: {printable(value)}" for key, value in sorted(summary.metadata.items())]
            data: dict[str, object] = {"metadata": dict(summary.metadata)}
            return Inspection("onnx without a manifest", tuple(lines or ["no metadata"]), data)
    manifest = read_manifest(path)
    kind = "onnx file of a bundle" if path.suffix == ".onnx" else "bundle"
    return Inspection(kind, tuple(manifest_lines(manifest)), manifest.model_dump(mode="json"))


def manifest_lines(manifest: Manifest) -> list[str]:
    """Return a manifest in a few lines."""
    paper, weights = manifest.paper, manifest.weights
    levels = f", {manifest.parity.levels:.3g} 8-bit steps" if manifest.parity.levels is not None else ""
    error, allowed = manifest.parity.closest()
    lines = [
        f"name        {printable(manifest.name)}",
        f"model       {manifest.model}: {printable(paper.title)} ({printable(paper.authors)}, {paper.year})",
        f"weights     {printable(weights.name)}, {printable(weights.provenance, 1000)}",
        f"licence     {printable(weights.licence.spdx)}"
        + (" (non-commercial)" if weights.licence.non_commercial else ""),
        f"precision   {manifest.precision}, opset {manifest.opset}",
        f"parity      relative error {error:.2g} of {allowed:.2g} allowed{levels}",
    ]
    for operation in manifest.operations:
        ins = ", ".join(value.name for value in operation.inputs)
        outs = ", ".join(value.name for value in operation.outputs)
        lines.append(f"operation   {operation.name}({ins}) -> {outs}")
    lines += [
        f"graph       {name}: {printable(graph.file)}, {graph.size} bytes" for name, graph in manifest.graphs.items()
    ]
    return lines


def _inspect_safetensors(path: Path) -> Inspection:
    header = read_header(path)
    tensors = {name: {"dtype": entry.dtype, "shape": list(entry.shape)} for name, entry in header.entries.items()}
    lines = [f"{printable(name)}  {value['dtype']} {value['shape']}" for name, value in sorted(tensors.items())]
    return Inspection("safetensors", tuple(lines), {"metadata": dict(header.metadata), "tensors": tensors})


def _inspect_checkpoint(path: Path) -> Inspection:
    from i2i_registry.checkpoints.reader import read_checkpoint  # noqa: PLC0415 - brings torch

    checkpoint = read_checkpoint(path)
    data: dict[str, object] = {
        "format": checkpoint.format,
        "tensors": {
            key: {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
            for key, value in checkpoint.tensors.items()
        },
        "not_loaded": list(checkpoint.records()),
    }
    return Inspection(f"checkpoint, {checkpoint.format}", _first_lines(checkpoint.outline()), data)


def _first_lines(lines: Iterator[str]) -> tuple[str, ...]:
    """As many lines as a person may look through, and how many follow."""
    shown = tuple(islice(lines, MOST_LINES))
    more = sum(1 for _ in lines)
    return (*shown, f"... and {more} more; --json lists all tensors") if more else shown
