"""Open a bundle without trusting it: a folder, the same folder zipped, or a lone .onnx that carries its manifest.

Everything is checked before a session exists: the manifest's size and schema, that every path stays inside the bundle
and is no link, every file's size and hash, and that no graph refers to anything outside itself. A session is made from
bytes that are read once more and have the hash of those that were checked, so a file that was exchanged is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from i2i_runtime.archive.onnx_files import OnnxSummary, summarise
from i2i_runtime.errors import BundleError, UsageError
from i2i_runtime.files import zips
from i2i_runtime.files.regular import open_regular
from i2i_runtime.schema.graphs import MAX_GRAPH_BYTES
from i2i_runtime.schema.manifest import GRAPH_KEY, MANIFEST_FILE, MANIFEST_KEY, SCHEMA_VERSION, Manifest
from i2i_runtime.type_guards import is_json_object, is_list
from i2i_runtime.untrusted_text import printable

MAX_MANIFEST_BYTES = 2 * 2**20
"""A manifest is some ten kilobytes; what is larger is not one."""

MAX_MANIFEST_DEPTH = 32
"""Lists and objects inside each other."""

_COPY_AGAIN = "export or copy the bundle again"
_EXPORT = "i2i-registry export NAME --onnx makes one"
_BUNDLES = "a bundle's folder, a .zip of it, or an .onnx file of it"


@dataclass(frozen=True, slots=True)
class GraphSource:
    """Where the bytes of one .onnx lie, and the hash of those that were checked."""

    where: str
    sha256: str
    fetch: Callable[[], bytes]
    """reads them again, within the same bounds"""

    def read(self) -> bytes:
        """Return the bytes that were checked. Raises BundleError when they are no longer there."""
        try:
            data = self.fetch()
        except OSError as error:
            raise BundleError(found=f"{self.where} cannot be read: {_reason(error)}") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise BundleError(
                found=f"{self.where} has changed since the bundle was loaded", fix="load the bundle again"
            )
        return data


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle whose files have been checked."""

    manifest: Manifest
    graphs: Mapping[str, GraphSource]
    """graph name -> its .onnx; of a lone .onnx only its own"""


def read_manifest(path: str | Path) -> Manifest:
    """Return the manifest of a bundle (folder, .zip, or lone .onnx), without reading the graphs.

    Raises:
        UsageError: there is nothing at `path`, or nothing that could be a bundle.
        BundleError: the manifest is damaged, too large, or of a newer schema.
    """
    place = _existing(path)
    with _system_errors(place):
        if place.is_dir():
            return _folder_manifest(place)
        if place.suffix.lower() == ".onnx":
            return _lone(place).manifest
        with zips.opened(place) as archive:
            return _zipped_manifest(archive)[0]


def open_bundle(path: str | Path) -> OpenBundle:
    """Check a bundle completely. Nothing is unpacked, and of the graphs only one at a time lies in memory.

    A lone .onnx cannot hold its own hash, so its bytes are taken as they are.

    Raises:
        UsageError: there is nothing at `path`, or nothing that could be a bundle.
        BundleError: it is damaged, hostile, or of a newer schema.
    """
    place = _existing(path)
    with _system_errors(place):
        if place.is_dir():
            manifest = _folder_manifest(place)
            files = {name: partial(_read_inside, place, graph.file) for name, graph in manifest.graphs.items()}
        elif place.suffix.lower() == ".onnx":
            return _lone(place)
        else:
            with zips.opened(place) as archive:
                manifest, prefix = _zipped_manifest(archive)
            files = {name: partial(_read_zipped, place, prefix + g.file) for name, g in manifest.graphs.items()}
        return OpenBundle(manifest, {name: _checked(place, manifest, name, fetch) for name, fetch in files.items()})


def read_onnx(path: Path) -> tuple[bytes, OnnxSummary]:
    """Return the bytes of an .onnx file, read once, and what they refer to; nothing outside the file.

    Raises BundleError for what is no ONNX model, keeps weights elsewhere, or cannot be read.
    """
    with _system_errors(path):
        data = _read(path, MAX_GRAPH_BYTES)
    summary = summarise(data, str(path))
    require_whole(summary, str(path))
    return data, summary


def require_whole(summary: OnnxSummary, where: str) -> None:
    """Raise BundleError for a model whose weights lie outside its .onnx file."""
    if summary.external:
        raise BundleError(
            found=f"{where} keeps weights in {printable(min(summary.external))!r}",
            expected="all weights in the .onnx itself: nothing else that a graph names is ever opened",
            fix="export it again as one file",
        )


@contextmanager
def _system_errors(place: Path) -> Generator[None]:
    """No permission, a file that vanished, one that is no file: what the system says, as a BundleError."""
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or place), 1000)
        raise BundleError(found=f"{where} cannot be read: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Check the JSON of a manifest; `where` names the bundle in errors.

    Raises BundleError for anything that is not a manifest of this schema version.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(
            found=f"the manifest of {where} has more than {MAX_MANIFEST_BYTES} bytes", expected="some ten kilobytes"
        )
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        raise BundleError(found=f"the manifest of {where} is not JSON: {printable(str(error))}") from error
    version = value.get("schema_version") if is_json_object(value) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            found=f"{where} has manifest schema version {printable(str(version), 20)}",
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


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return an object; a key that is there twice means one thing to one reader and another to the next."""
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"{twice!r} is there twice")
    return made


def _check_depth(value: object) -> None:
    layer = [value]
    for _ in range(MAX_MANIFEST_DEPTH):
        lists = [each for each in layer if is_list(each)]
        objects = [each for each in layer if is_json_object(each)]
        layer = [inner for each in lists for inner in each] + [inner for each in objects for inner in each.values()]
        if not layer:
            return
    raise ValueError(f"it nests more than {MAX_MANIFEST_DEPTH} lists and objects")


def _sentences(error: ValidationError) -> str:
    shown = 3
    errors = error.errors(include_input=False, include_url=False)
    inner = {each["loc"][:end] for each in errors for end in range(len(each["loc"]))}
    # A list whose entry is wrong counts as too short besides.
    kept = [each for each in errors if each["type"] != "too_short" or each["loc"] not in inner]
    first = [f"{'.'.join(map(str, each['loc'])) or 'manifest'}: {each['msg']}" for each in kept]
    more = f"; and {len(first) - shown} more" if len(first) > shown else ""
    return "; ".join(printable(sentence, 400) for sentence in first[:shown]) + more


def _existing(path: str | Path) -> Path:
    place = Path(path).absolute()
    try:
        there = place.exists()
    except OSError as error:  # a name that is too long, or a folder nobody may look into
        raise UsageError(found=f"{printable(str(place))} cannot be looked at: {_reason(error)}") from error
    except ValueError as error:
        raise UsageError(found=f"{printable(str(place))} is no path: {error}") from error
    if not there:
        shown = printable(str(place), 1000)
        raise UsageError(found=f"there is no bundle at {shown}", fix=_EXPORT)
    if place.is_dir() or place.suffix.lower() in {".zip", ".onnx"}:
        return place
    raise UsageError(found=f"{printable(str(place), 1000)} is no bundle", expected=_BUNDLES, fix=_EXPORT)


def _folder_manifest(folder: Path) -> Manifest:
    try:
        (folder / MANIFEST_FILE).lstat()
    except FileNotFoundError as error:
        shown = printable(str(folder), 1000)
        raise UsageError(
            found=f"{shown} is no bundle: it holds no {MANIFEST_FILE}", expected=_BUNDLES, fix=_EXPORT
        ) from error
    return parse_manifest(_read(_inside(folder, MANIFEST_FILE), MAX_MANIFEST_BYTES), str(folder))


def _zipped_manifest(archive: zips.Archive) -> tuple[Manifest, str]:
    """Return the manifest, and the folder inside the archive it lies in: "" or "name/", as zip tools like to add."""
    names = [name for name in archive.names if PurePosixPath(name).name == MANIFEST_FILE]
    shallow = [name for name in names if name.count("/") <= 1]
    if len(shallow) != 1:
        raise BundleError(
            found=f"{archive.path} holds {len(shallow)} files {MANIFEST_FILE} at its top",
            expected="one: a zipped bundle",
        )
    text = archive.read(shallow[0], MAX_MANIFEST_BYTES)
    return parse_manifest(text, str(archive.path)), shallow[0].removesuffix(MANIFEST_FILE)


def _lone(path: Path) -> OpenBundle:
    data, summary = read_onnx(path)
    text = summary.metadata.get(MANIFEST_KEY)
    if text is None:
        raise BundleError(
            found=f"{path} carries no manifest (metadata key {MANIFEST_KEY!r})",
            expected="an .onnx file written by i2i-exporter-onnx",
        )
    manifest = parse_manifest(text.encode(), str(path))
    name = summary.metadata.get(GRAPH_KEY, "")
    if name not in manifest.graphs:
        raise BundleError(
            found=f"{path} says it is graph {printable(name)!r}", expected=f"one of {sorted(manifest.graphs)}"
        )
    _require_standard(summary, str(path))
    digest = hashlib.sha256(data).hexdigest()
    return OpenBundle(manifest, {name: GraphSource(str(path), digest, partial(_read, path, MAX_GRAPH_BYTES))})


def _checked(place: Path, manifest: Manifest, name: str, fetch: Callable[[int], bytes]) -> GraphSource:
    """Return a graph of a folder or a zip, once its bytes were read and are what the manifest says."""
    record = manifest.graphs[name]
    where = f"{place}{os.sep}{printable(record.file)}"
    data = fetch(record.size)
    if len(data) != record.size:
        raise BundleError(found=f"{where} has {len(data)} bytes", expected=f"{record.size} bytes", fix=_COPY_AGAIN)
    digest = hashlib.sha256(data).hexdigest()
    if digest != record.sha256:
        raise BundleError(found=f"{where} has sha256 {digest}", expected=record.sha256, fix=_COPY_AGAIN)
    summary = summarise(data, where)
    require_whole(summary, where)
    _require_standard(summary, where)
    return GraphSource(where, digest, partial(fetch, record.size))


def _require_standard(summary: OnnxSummary, where: str) -> None:
    """Operators of others may read files (com.microsoft's EPContext does), so a bundle has none.

    Raises BundleError.
    """
    external = sorted(operator for operator in summary.operators if operator[0])
    if external:
        domain, name = external[0]
        raise BundleError(
            found=f"{where} uses the operator {printable(name)!r} of {printable(domain)!r}",
            expected="the operators of ONNX itself",
        )


def _inside(folder: Path, name: str) -> Path:
    """Return the file `name` of the folder, reached without any link."""
    path = folder
    for part in zips.safe_parts(name):
        path /= part
        if path.is_symlink():
            raise BundleError(
                found=f"{printable(str(path), 1000)} is a link",
                expected="files and folders only: a bundle has no links",
            )
    if not path.exists():
        raise BundleError(found=f"{printable(str(path), 1000)} is missing", fix=_COPY_AGAIN)
    return path


def _read_inside(folder: Path, name: str, most_bytes: int) -> bytes:
    return _read(_inside(folder, name), most_bytes)


def _read_zipped(path: Path, name: str, most_bytes: int) -> bytes:
    zips.safe_parts(name)
    with zips.opened(path) as archive:
        return archive.read(name, most_bytes)


def _read(path: Path, most_bytes: int) -> bytes:
    """All bytes of a regular file, read once. Raises OSError, and BundleError when there are more than `most_bytes`."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(min(size, most_bytes) + 1)
    if len(data) > most_bytes or size > most_bytes:
        raise BundleError(
            found=f"{printable(str(path), 1000)} has {size} bytes", expected=f"at most {most_bytes} bytes"
        )
    return data
