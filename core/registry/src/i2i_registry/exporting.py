"""From the name of weights to a bundle: exported where the user says, or kept in the store for `run`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from i2i_registry.atomic import sha256_of
from i2i_registry.cards import WeightsCard
from i2i_registry.catalogue import Catalogue
from i2i_registry.discovery import Registry
from i2i_registry.errors import ExportError
from i2i_registry.exporter import ExportOptions, ExportReport
from i2i_registry.model import Model
from i2i_registry.store import Store
from i2i_registry.weights import build_model, load_into, open_model
from i2i_runtime.errors import BundleError, UsageError
from i2i_runtime.manifest import MANIFEST_FILE, Manifest, Parity
from i2i_runtime.operations import Operation, Record
from i2i_runtime.reading import open_bundle, read_manifest

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
    if destination.exists():
        raise UsageError(
            found=f"{destination} exists",
            expected="a place where there is nothing yet: an export is never mixed with what lies there",
            fix=f"remove it, or choose another with -o {destination.name}-2",
        )
    exporter = registry.exporter(exporter_name)
    model, card = open_model(registry, reference, store)
    report = exporter.export(model, card, destination, options, tell)
    if not report.artefact.exists():
        raise ExportError(f"the exporter {exporter_name!r} left nothing at {report.artefact}", expected="its artefact")
    if card.licence.non_commercial:
        tell(f"licence {card.licence.spdx}: NOT for commercial use, as the weights say, and what is made of them")
    return report


def kept_bundle(registry: Registry, store: Store, reference: str, tell: Tell) -> Path:
    """The store's bundle of these weights, exported now if there is none yet for this version of the exporter."""
    card = Catalogue.gather(registry, store).find(reference)
    with store.exporting(_key(registry, card)) as path:
        if path.exists() and _is_readable(path):
            return path
        shutil.rmtree(path, ignore_errors=True)
        tell(f"{card.reference} has no bundle yet: exporting it once (kept in {path})")
        return export(
            registry,
            store,
            card.reference,
            exporter_name=BUNDLES,
            destination=path,
            options=ExportOptions(),
            tell=tell,
        ).artefact


def operations_of(registry: Registry, store: Store, target: str) -> tuple[Operation, ...]:
    """What a bundle, or the model behind a name, can do; found without exporting anything."""
    if is_bundle(target):
        return read_manifest(target).operations
    card = Catalogue.gather(registry, store).find(target)
    path = store.export_path(_key(registry, card))
    if path.exists() and _is_readable(path):
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
    try:
        tell(f"{bundle}: {len(opened.graphs)} graphs, all hashes as in the manifest")
        if against is None:
            return opened.manifest, opened.manifest.parity
        model = _reference_model(registry, store, opened.manifest, against)
        return opened.manifest, registry.exporter(BUNDLES).verify(bundle, model, tell)
    finally:
        if opened.unpacked is not None:
            shutil.rmtree(opened.unpacked, ignore_errors=True)


def _reference_model(registry: Registry, store: Store, manifest: Manifest, against: str) -> Model[Record]:
    """The torch side of the comparison; a file takes its config from the bundle."""
    if not Path(against).is_file():
        model, card = open_model(registry, against, store)
        given = card.sha256
    else:
        model_class = registry.model_class(manifest.model)
        model = model_class(model_class.Config.model_validate(manifest.config))
        load_into(model, Path(against))
        given = sha256_of(Path(against))
        for network in model.networks.values():
            network.eval()
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
    except BundleError:
        return False
    return True
