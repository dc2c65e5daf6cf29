"""From the name of weights to a bundle, and a bundle measured again."""

from __future__ import annotations

from pathlib import Path

from i2i_registry.errors import ExportError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions, ExportReport, TellProgress
from i2i_registry.interfaces.model import Model
from i2i_registry.output_paths import check_new
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.loading import load_for_use, open_card, open_model
from i2i_registry.weights.store import Store
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.files.regular import sha256_of
from i2i_runtime.records import Record
from i2i_runtime.schema.manifest import Manifest
from i2i_runtime.schema.parity import Parity

BUNDLES = "onnx"
"""the exporter that makes what the runtime runs"""


def export_weights(
    registry: Registry,
    store: Store,
    reference: str,
    *,
    exporter_name: str,
    destination: Path,
    options: ExportOptions,
    tell: TellProgress,
) -> ExportReport:
    """Export the weights that `reference` means to `destination`, which must not exist.

    Raises UsageError when it does, UnknownName, and ExportError when the artefact misses its tolerance; nothing is left
    at `destination` then.
    """
    catalogue = Catalogue.gather(registry, store)
    card = catalogue.find(reference)
    return export_card(catalogue, card, exporter_name, destination, options, tell)


def export_card(  # noqa: PLR0917 - what `export` takes, with its reference resolved
    catalogue: Catalogue,
    card: WeightsCard,
    exporter_name: str,
    destination: Path,
    options: ExportOptions,
    tell: TellProgress,
) -> ExportReport:
    """As `export`, with the reference resolved."""
    check_new(destination)
    exporter = catalogue.registry.exporter(exporter_name)
    report = exporter.export(open_card(catalogue, card), card, destination, options, tell)
    if not report.artefact.exists():
        raise ExportError(f"the exporter {exporter_name!r} left nothing at {report.artefact}", expected="its artefact")
    if card.licence.non_commercial:
        tell(f"licence {card.licence.spdx}: NOT for commercial use, as the weights say, and what is made of them")
    return report


def verify_bundle(
    registry: Registry, store: Store, bundle: Path, against: str | None, tell: TellProgress
) -> tuple[Manifest, Parity]:
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
    """Return the torch side of the comparison; a file takes its config from the bundle."""
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
