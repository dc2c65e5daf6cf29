"""Open a bundle without trusting it: a folder, the same folder zipped, or a lone .onnx that carries its manifest.

Everything is checked before a session exists: the manifest's size and schema, that every path stays inside the bundle
and is no link, every file's size and hash, and that no graph reads data from a file that the manifest does not list.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from pydantic import ValidationError

from i2i_runtime.errors import BundleError, UsageError
from i2i_runtime.manifest import GRAPH_KEY, MANIFEST_FILE, MANIFEST_KEY, SCHEMA_VERSION, DataFile, GraphFile, Manifest
from i2i_runtime.onnx_files import summarise

MAX_MANIFEST_BYTES = 16 * 2**20
"""A manifest is some kilobytes; what is larger is not one."""

MAX_UNPACKED_BYTES = 32 * 2**30
"""Largest sum of the sizes of a zipped bundle's members."""

MAX_ZIP_RATIO = 200
"""Largest ratio of unpacked to packed size. Weights hardly shrink; only bombs shrink by hundreds."""

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle whose files have been checked and lie on the disk."""

    manifest: Manifest
    graphs: Mapping[str, Path]
    """graph name -> .onnx file; of a lone .onnx only its own"""
    unpacked: Path | None = None
    """the private folder a zip was unpacked to; whoever opened the bundle removes it"""


def read_manifest(path: str | Path) -> Manifest:
    """The manifest of a bundle (folder, .zip, or lone .onnx), without reading the graphs.

    Raises:
        UsageError: there is nothing at `path`, or nothing that could be a bundle.
        BundleError: the manifest is damaged, too large, or of a newer schema.
    """
    place = _existing(path)
    with _system_errors(place):
        if place.is_dir():
            return parse_manifest(_read_small(_inside(place, MANIFEST_FILE)), str(place))
        if place.suffix.lower() == ".onnx":
            return _lone(place).manifest
        with _opened_zip(place) as archive:
            return _zipped_manifest(archive, place)[0]


def open_bundle(path: str | Path) -> OpenBundle:
    """Check a bundle completely. A zip is unpacked to a private temporary folder.

    A lone .onnx cannot hold its own hash, so its bytes are taken as they are.

    Raises:
        UsageError: there is nothing at `path`, or nothing that could be a bundle.
        BundleError: it is damaged, hostile, or of a newer schema.
    """
    place = _existing(path)
    with _system_errors(place), ExitStack() as undo:
        if place.is_dir():
            return _opened_folder(place)
        if place.suffix.lower() == ".onnx":
            return _lone(place)
        folder = Path(tempfile.mkdtemp(prefix="i2i-"))
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        _unpack(place, folder)
        opened = _opened_folder(folder)
        undo.pop_all()
        return OpenBundle(opened.manifest, opened.graphs, unpacked=folder)


@contextmanager
def _system_errors(place: Path) -> Generator[None]:
    """No permission, a full disk, a file that vanished: what the system says, as a BundleError."""
    try:
        yield
    except OSError as error:
        raise BundleError(found=f"{place} cannot be read: {error}") from error


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Check the JSON of a manifest; `where` names the bundle in errors.

    Raises BundleError for anything that is not a manifest of this schema version.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(
            found=f"the manifest of {where} has {len(text)} bytes", expected=f"at most {MAX_MANIFEST_BYTES}"
        )
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(found=f"the manifest of {where} is not JSON: {error}") from error
    version = cast("dict[str, object]", value).get("schema_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            found=f"{where} has manifest schema version {version}",
            expected=f"at most {SCHEMA_VERSION}, which is what this i2i-runtime reads",
            fix="pip install --upgrade i2i-runtime",
        )
    try:
        return Manifest.model_validate(value)
    except ValidationError as error:
        raise BundleError(
            found=f"the manifest of {where} is not valid: {_sentences(error)}",
            expected=f"a manifest of schema version {SCHEMA_VERSION} (docs/bundle-format.md)",
            fix="export the bundle again",
        ) from error


def _sentences(error: ValidationError) -> str:
    shown = 3
    all_of_them = [f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors()]
    more = f"; and {len(all_of_them) - shown} more" if len(all_of_them) > shown else ""
    return "; ".join(all_of_them[:shown]) + more


def _existing(path: str | Path) -> Path:
    place = Path(path).absolute()
    if not place.exists():
        raise UsageError(found=f"there is no bundle at {place}", fix="i2i-registry export NAME --onnx makes one")
    if place.is_dir() or place.suffix.lower() in {".zip", ".onnx"}:
        return place
    raise UsageError(found=f"{place} is no bundle", expected="a bundle's folder, a .zip of it, or an .onnx file of it")


def _opened_folder(folder: Path) -> OpenBundle:
    manifest = parse_manifest(_read_small(_inside(folder, MANIFEST_FILE)), str(folder))
    graphs: dict[str, Path] = {}
    for name, graph in manifest.graphs.items():
        graphs[name] = _checked(folder, graph)
        for data in graph.data:
            _checked(folder, data)
        _check_external_data(graphs[name], graph)
    return OpenBundle(manifest, graphs)


def _check_external_data(path: Path, graph: GraphFile) -> None:
    beside = PurePosixPath(graph.file).parent
    listed = {PurePosixPath(data.file) for data in graph.data}
    unlisted = sorted(name for name in summarise(path).external if beside / name not in listed)
    if unlisted:
        raise BundleError(
            found=f"{path} reads weights from {unlisted[0]!r}, which the manifest does not list",
            expected="one .onnx file a graph, or data files with a size and a hash in the manifest",
        )


def _lone(path: Path) -> OpenBundle:
    summary = summarise(path)
    text = summary.metadata.get(MANIFEST_KEY)
    if text is None:
        raise BundleError(
            found=f"{path} carries no manifest (metadata key {MANIFEST_KEY!r})",
            expected="an .onnx file written by i2i-exporter-onnx",
        )
    manifest = parse_manifest(text.encode(), str(path))
    name = summary.metadata.get(GRAPH_KEY, "")
    if name not in manifest.graphs:
        raise BundleError(found=f"{path} says it is graph {name!r}", expected=f"one of {sorted(manifest.graphs)}")
    if summary.external:
        raise BundleError(
            found=f"{path} keeps weights in {min(summary.external)!r}", expected="the folder of the whole bundle"
        )
    return OpenBundle(manifest, {name: path})


def _safe_parts(name: str) -> tuple[str, ...]:
    """The parts of a path inside a bundle. Raises BundleError for whatever could lead out of it, on any system."""
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    escapes = not parts or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name
    if escapes or windows.drive or windows.root:
        raise BundleError(
            found=f"the path {name!r} leads out of the bundle", expected="a relative path with forward slashes"
        )
    return parts


def _inside(folder: Path, name: str) -> Path:
    """The regular file `name` of the folder, reached without any link."""
    path = folder
    for part in _safe_parts(name):
        path /= part
        if path.is_symlink():
            raise BundleError(found=f"{path} is a link", expected="files and folders only: a bundle has no links")
    if not path.is_file():
        raise BundleError(found=f"{path} is missing", fix="export or copy the bundle again")
    return path


def _checked(folder: Path, file: GraphFile | DataFile) -> Path:
    path = _inside(folder, file.file)
    size = path.stat().st_size
    if size != file.size:
        raise BundleError(
            found=f"{path} has {size} bytes", expected=f"{file.size} bytes", fix="export or copy the bundle again"
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise BundleError(
            found=f"{path} has sha256 {digest}", expected=file.sha256, fix="export or copy the bundle again"
        )
    return path


def _read_small(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_MANIFEST_BYTES + 1)


@contextmanager
def _opened_zip(path: Path) -> Generator[zipfile.ZipFile]:
    """An archive whose member list has been checked. Damage met while it is read becomes a BundleError."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), path)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise BundleError(found=f"{path} is a damaged zip: {error}") from error


def _check_members(members: Iterable[zipfile.ZipInfo], path: Path) -> None:
    seen: set[str] = set()
    unpacked = packed = 0
    for member in members:
        _safe_parts(member.filename)
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise BundleError(found=f"{path}: {member.filename!r} is a link or a device", expected="files and folders")
        if member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BundleError(
                found=f"{path}: {member.filename!r} is encrypted or packed in a rare way",
                expected="a plain zip, stored or deflated",
            )
        if member.filename in seen:
            raise BundleError(found=f"{path}: {member.filename!r} occurs twice", expected="one member of each name")
        seen.add(member.filename)
        unpacked += member.file_size
        packed += member.compress_size
    if unpacked > MAX_UNPACKED_BYTES or unpacked > MAX_ZIP_RATIO * packed + MAX_MANIFEST_BYTES:
        raise BundleError(
            found=f"{path} unpacks from {packed} to {unpacked} bytes",
            expected=f"at most {MAX_ZIP_RATIO} times its size, and {MAX_UNPACKED_BYTES} bytes",
        )


def _zipped_manifest(archive: zipfile.ZipFile, path: Path) -> tuple[Manifest, str]:
    """The manifest, and the folder inside the archive it lies in: "" or "name/", as zip tools like to add."""
    names = [name for name in archive.namelist() if PurePosixPath(name).name == MANIFEST_FILE]
    shallow = [name for name in names if name.count("/") <= 1]
    if len(shallow) != 1:
        raise BundleError(
            found=f"{path} holds {len(shallow)} files {MANIFEST_FILE} at its top", expected="one: a zipped bundle"
        )
    with archive.open(shallow[0]) as stream:
        manifest = parse_manifest(stream.read(MAX_MANIFEST_BYTES + 1), str(path))
    return manifest, shallow[0].removesuffix(MANIFEST_FILE)


def _unpack(path: Path, folder: Path) -> None:
    """Write the manifest and the files it lists, nothing else, and none beyond its listed size."""
    with _opened_zip(path) as archive:
        manifest, prefix = _zipped_manifest(archive, path)
        (folder / MANIFEST_FILE).write_bytes(archive.read(prefix + MANIFEST_FILE))
        for graph in manifest.graphs.values():
            for file in (graph, *graph.data):
                _extract(archive, prefix, file, folder)


def _extract(archive: zipfile.ZipFile, prefix: str, file: GraphFile | DataFile, folder: Path) -> None:
    target = folder.joinpath(*_safe_parts(file.file))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = archive.open(prefix + file.file)
    except KeyError as error:
        raise BundleError(found=f"{archive.filename} lacks {file.file}", fix="export the bundle again") from error
    left = file.size + 1  # one byte more than promised is enough to tell that the size is wrong
    with source, target.open("wb") as sink:
        while left and (chunk := source.read(min(_CHUNK, left))):
            sink.write(chunk)
            left -= len(chunk)
