"""From the name of weights to a bundle: exported where the user says, or kept in the store for `run`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from i2i_registry.errors import ExportError, StoreError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions, ExportReport
from i2i_registry.interfaces.model import Model
from i2i_registry.output_paths import check_new
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.loading import build_model, load_for_use, open_card, open_model
from i2i_registry.weights.store import Store
from i2i_runtime.archive.opening import open_bundle, read_manifest
from i2i_runtime.errors import BundleError, UsageError
from i2i_runtime.files.atomic import scratch_folder
from i2i_runtime.files.regular import sha256_of
from i2i_runtime.schema.manifest import MANIFEST_FILE, Manifest, Parity
from i2i_runtime.schema.operations import Operation, Record

Tell = Callable[[str], None]

BUNDLES = "onnx"
"""the exporter that makes what the runtime runs"""


def export(
    registry: Registry,
    store: Store,
    reference: str,
    *,
    exporter_name: str,
    destination: Path,
    options: ExportOptions,
    tell: Tell,
) -> ExportReport:
    """Export the weights that `reference` means to `destination`, which must not exist.

    Raises UsageError when it does, UnknownName, and ExportError when the artefact misses its tolerance; nothing is left
    at `destination` then.
    """
    catalogue = Catalogue.gather(registry, store)
    card = catalogue.find(reference)
    return _export(catalogue, card, exporter_name, destination, options, tell)


def _export(  # noqa: PLR0917 - what `export` takes, with its reference resolved
    catalogue: Catalogue,
    card: WeightsCard,
    exporter_name: str,
    destination: Path,
    options: ExportOptions,
    tell: Tell,
) -> ExportReport:
    check_new(destination)
    exporter = catalogue.registry.exporter(exporter_name)
    report = exporter.export(open_card(catalogue, card), card, destination, options, tell)
    if not report.artefact.exists():
        raise ExportError(f"the exporter {exporter_name!r} left nothing at {report.artefact}", expected="its artefact")
    if card.licence.non_commercial:
        tell(f"licence {card.licence.spdx}: NOT for commercial use, as the weights say, and what is made of them")
    return report


@contextmanager
def bundle_of(registry: Registry, store: Store, target: str, tell: Tell) -> Generator[Path]:
    """The bundle that `target` names, or that of the weights it names: exported now if there is none yet, and kept.

    Where the store cannot be written, it is made for this block only.
    """
    if is_bundle(target):
        yield Path(target)
        return
    catalogue = Catalogue.gather(registry, store)
    card = catalogue.find(target)
    key = _key(registry, card)
    kept = store.export_path(key)
    with ExitStack() as stack:
        if not _is_readable(kept):
            try:
                _keep_bundle(catalogue, card, key, tell)
            except StoreError as error:
                tell(f"{error.found}; the bundle of {card.reference} is made for this command only")
                kept = stack.enter_context(scratch_folder()) / card.name
                _export(catalogue, card, BUNDLES, kept, ExportOptions(), tell)
        yield kept


def _keep_bundle(catalogue: Catalogue, card: WeightsCard, key: str, tell: Tell) -> None:
    with catalogue.store.exporting(key) as path:
        if _is_readable(path):
            return  # another process has made it meanwhile
        shutil.rmtree(path, ignore_errors=True)
        tell(f"{card.reference} has no bundle yet: exporting it once (kept in {path})")
        _export(catalogue, card, BUNDLES, path, ExportOptions(), tell)


def operations_of(registry: Registry, store: Store, target: str) -> tuple[Operation, ...]:
    """What a bundle, or the model behind a name, can do; found without exporting anything."""
    if is_bundle(target):
        return read_manifest(target).operations
    card = Catalogue.gather(registry, store).find(target)
    path = store.export_path(_key(registry, card))
    if _is_readable(path):
        return read_manifest(path).operations
    return build_model(registry, card).operations()


def is_bundle(target: str) -> bool:
    """Whether the text names a bundle on the disk, or can only mean one; a bare word is a name of weights."""
    path = Path(target)
    if path.is_dir():
        return (path / MANIFEST_FILE).is_file() or len(path.parts) > 1
    return path.is_file() or path.suffix in {".onnx", ".zip"} or len(path.parts) > 1


def verify(registry: Registry, store: Store, bundle: Path, against: str | None, tell: Tell) -> tuple[Manifest, Parity]:
    """Check a bundle's files and, when `against` names weights or a safetensors file, measure it against torch again.

    Returns the manifest and the parity: measured now, or as recorded. Raises BundleError when a file is damaged, and
    ExportError when the bundle misses its tolerance or was made from other weights.
    """
    opened = open_bundle(bundle)
    tell(f"{bundle}: {len(opened.graphs)} graphs, all hashes as in the manifest")
    if against is None:
        return opened.manifest, opened.manifest.parity
    model = _reference_model(registry, store, opened.manifest, against)
    return opened.manifest, registry.exporter(BUNDLES).verify(bundle, model, tell)


def _reference_model(registry: Registry, store: Store, manifest: Manifest, against: str) -> Model[Record]:
    """The torch side of the comparison; a file takes its config from the bundle."""
    if not Path(against).is_file():
        model, card = open_model(registry, against, store)
        given = card.sha256
    else:
        model_class = registry.model_class(manifest.model)
        model = model_class(model_class.Config.model_validate(manifest.config))
        given = sha256_of(Path(against))
        load_for_use(model, Path(against), given)
    if given != manifest.weights.sha256:
        raise ExportError(
            found=f"the bundle was exported from {manifest.weights.name} (sha256 {manifest.weights.sha256[:12]})",
            expected=f"{against} (sha256 {given[:12]})",
            fix="name the weights it was exported from, or export again",
        )
    return model


def _key(registry: Registry, card: WeightsCard) -> str:
    """Changes with everything that the bundle depends on: weights, name, config, plugin and exporter."""
    exporter = registry.exporter_sources.get(BUNDLES)
    plugin = registry.sources.get(card.model)
    parts = [card.model_dump_json(), exporter.label if exporter else "", plugin.label if plugin else ""]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _is_readable(path: Path) -> bool:
    try:
        read_manifest(path)
    except (BundleError, UsageError):
        return False
    return True
