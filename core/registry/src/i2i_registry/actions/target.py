"""What a command works with: a bundle on the disk, or weights by name, whose bundle is made when it is needed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.actions.export import BUNDLES, export_card
from i2i_registry.actions.missing_operations import why_missing
from i2i_registry.errors import StoreError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions, TellProgress
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.loading import build_model
from i2i_registry.weights.store import Store
from i2i_runtime.archive.opening import read_manifest
from i2i_runtime.bundle import Bundle, load
from i2i_runtime.errors import BundleError, UsageError, nearest
from i2i_runtime.files.atomic import scratch_folder
from i2i_runtime.schema.manifest import MANIFEST_FILE
from i2i_runtime.schema.operations import Operation


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where a bundle runs and how much one image may take, as `i2i_runtime.load` has it."""

    device: str = "auto"
    threads: int | None = None
    max_pixels: int | None = None
    memory: str | None = None

    def load(self, path: Path) -> Bundle:
        """Open a bundle. Raises what `i2i_runtime.load` raises."""
        return load(path, device=self.device, threads=self.threads, max_pixels=self.max_pixels, memory=self.memory)


@dataclass(frozen=True, slots=True)
class Target:
    """A bundle, or weights by name, as a user names it; what it can do is known before anything is exported."""

    registry: Registry
    store: Store
    text: str

    @property
    def is_bundle(self) -> bool:
        """Whether the text names a bundle on the disk, or can only mean one; a bare word is a name of weights."""
        path = Path(self.text)
        if path.is_dir():
            return (path / MANIFEST_FILE).is_file() or len(path.parts) > 1
        return path.is_file() or path.suffix in {".onnx", ".zip"} or len(path.parts) > 1

    def operations(self) -> tuple[Operation, ...]:
        """Return what the bundle, or the model behind the name, can do."""
        if self.is_bundle:
            return read_manifest(self.text).operations
        card = self._catalogue().find(self.text)
        path = self.store.export_path(_key(self.registry, card))
        if _is_readable(path):
            return read_manifest(path).operations
        return build_model(self.registry, card).operations()

    def choose(self, name: str) -> Operation:
        """Return the operation of this name.

        Raises UsageError with the nearest name, and with what the weights lack for it.
        """
        operations = self.operations()
        names = [operation.name for operation in operations]
        if name in names:
            return operations[names.index(name)]
        model = read_manifest(self.text).model if self.is_bundle else self._catalogue().find(self.text).model
        why = why_missing(self.registry, model, self.text, operations, name)
        raise UsageError(f"no operation named {name!r}", expected=nearest(name, names), fix=why)

    @contextmanager
    def bundle(self, tell: TellProgress) -> Generator[Path]:
        """Give the bundle's path; that of weights is exported now if there is none yet, and kept.

        Where the store cannot be written, it is made for this block only.
        """
        if self.is_bundle:
            yield Path(self.text)
            return
        catalogue = self._catalogue()
        card = catalogue.find(self.text)
        key = _key(self.registry, card)
        kept = self.store.export_path(key)
        with ExitStack() as stack:
            if not _is_readable(kept):
                try:
                    _keep_bundle(catalogue, card, key, tell)
                except StoreError as error:
                    tell(f"{error.found}; the bundle of {card.reference} is made for this command only")
                    kept = stack.enter_context(scratch_folder()) / card.name
                    export_card(catalogue, card, BUNDLES, kept, ExportOptions(), tell)
            yield kept

    @contextmanager
    def loaded(self, options: LoadOptions, tell: TellProgress) -> Generator[Bundle]:
        """Give the bundle, ready to run, and tell what runs where."""
        with self.bundle(tell) as path, options.load(path) as bundle:
            tell(bundle.report)
            yield bundle

    def _catalogue(self) -> Catalogue:
        return Catalogue.gather(self.registry, self.store)


def _keep_bundle(catalogue: Catalogue, card: WeightsCard, key: str, tell: TellProgress) -> None:
    with catalogue.store.exporting(key) as path:
        if _is_readable(path):
            return  # another process has made it meanwhile
        shutil.rmtree(path, ignore_errors=True)
        tell(f"{card.reference} has no bundle yet: exporting it once (kept in {path})")
        export_card(catalogue, card, BUNDLES, path, ExportOptions(), tell)


def _key(registry: Registry, card: WeightsCard) -> str:
    """Return a name that changes with all that the bundle depends on: weights, name, config, plugin and exporter."""
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
