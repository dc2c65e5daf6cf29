"""The local store: weights by the hash of their bytes, and cards that name them.

    <root>/blobs/<first two digits>/<sha256>.safetensors
    <root>/cards/<name>/<version>.json
    <root>/cards/<name>/aliases.json
    <root>/exports/<key>/               bundles that `run` made on the way
    <root>/lock

Every file appears whole, by a rename, and a blob before the card that names it. So readers need no lock, writers take
one only against each other, and a kill at any moment leaves at most a partial file, which the next writer removes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from platformdirs import user_data_path
from pydantic import Field, PositiveInt

from i2i_registry.checkpoints.tensor_files import check_hash, write_tensors
from i2i_registry.errors import CheckpointError, StoreError, UnknownName
from i2i_registry.interfaces.cards import WeightsCard, WeightsDraft, is_weights_name
from i2i_registry.record_files import RecordError, read_record
from i2i_runtime.files.atomic import atomic_write, remove_leftovers, write_text
from i2i_runtime.files.regular import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

HOME = "I2I_HOME"
"""Environment variable: where the store lies instead of the user's data folder."""

_LOCK_SECONDS = 600.0
"""Longer than any write; a lock dies with its process, so nobody waits for a crashed one."""
_CARD = re.compile(r"([1-9][0-9]{0,8})\.json")
_UNNAMED = ".unnamed"
"""End of the name of the mark that stands beside weights until their card is written."""
_ALIAS = r"[a-z][a-z0-9._-]{0,63}"
_Aliases = dict[Annotated[str, Field(pattern=rf"^{_ALIAS}$")], PositiveInt]


class Store:
    """Weights on this machine. Constructing it touches nothing; the folders appear with the first `add`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls) -> Store:
        """Return the user's store: the folder that I2I_HOME names, or the platform's place for user data."""
        home = os.environ.get(HOME)
        if home:
            return cls(Path(home).expanduser())
        return cls(user_data_path("i2i", appauthor=False))

    def add(self, source: Path | Mapping[str, Tensor], card: WeightsDraft, alias: str | None = None) -> WeightsCard:
        """Store a safetensors file, or tensors, under the card's name, as its next version; returns the final card.

        Hash, size and version are filled in here. The same bytes for the same name, model and config are stored once:
        the card that is there already is returned.

        Raises StoreError when the name belongs to weights of another model, or when the store cannot be written (full
        disk); nothing is then changed.
        """
        if alias is not None:
            _check_alias(alias)
        with self._writing():
            if words := self.taken(card.name, card.model):
                raise StoreError(words, expected="weights of one model under one name", fix="choose another: --as NAME")
            blob, sha256, size = self._add_blob(source)
            final = self._existing(card, sha256) or self._write_card(card, sha256, size)
            blob.with_suffix(_UNNAMED).unlink(missing_ok=True)
            if alias is not None:
                self._write_aliases(final.name, {**self.aliases(final.name), alias: final.version})
            if not blob.exists():
                raise StoreError(f"{blob} vanished while it was being stored", fix="run the command again")
        return final

    def get(self, reference: str) -> tuple[WeightsCard, Path]:
        """Return the card and the verified file of `name`, `name@version` or `name@alias`.

        A bare name is the newest version.

        Raises UnknownName, and StoreError when the file's hash is not the card's.
        """
        card = self.find(reference)
        return card, self.path_of(card)

    def find(self, reference: str) -> WeightsCard:
        """Return the card of a reference, without reading the weights. Raises UnknownName or StoreError."""
        name, _, which = reference.partition("@")
        versions = self.versions(name)
        if not versions:
            raise UnknownName.among("stored weights", name, self.names(), "`i2i-registry list` shows all weights")
        version = versions[-1] if not which else self._version(name, which, versions)
        return self._read_card(self._card_path(name, version))

    def has(self, card: WeightsCard) -> bool:
        """Whether the weights of this card lie here, unverified."""
        return self._blob_path(card.sha256).is_file()

    def path_of(self, card: WeightsCard) -> Path:
        """Return the verified weights file of a stored card. Raises StoreError when it is missing or damaged."""
        path = self._blob_path(card.sha256)
        try:
            check_hash(path, card.sha256)
        except CheckpointError as error:
            raise StoreError(
                found=error.found,
                expected=f"the weights of {card.reference}, sha256 {card.sha256}",
                fix="import, train or fetch them again; the store repairs the file when it gets the same bytes",
            ) from error
        return path

    def cards(self) -> tuple[WeightsCard, ...]:
        """Every readable card, by name and version. Damaged ones are left out here and told by `damage`."""
        return tuple(card for card in self._scan() if isinstance(card, WeightsCard))

    def damage(self) -> tuple[StoreError, ...]:
        """Return what is wrong with cards that cannot be read, for `doctor`."""
        return tuple(card for card in self._scan() if isinstance(card, StoreError))

    def names(self) -> tuple[str, ...]:
        """Return the names that have at least one version."""
        return tuple(sorted(name for name in _names_in(self.root / "cards") if self.versions(name)))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the versions of a name, oldest first; empty when there are none.

        Raises StoreError if they cannot be read.
        """
        if not is_weights_name(name) or os.path.isfile(self.root / "cards" / name):  # noqa: PTH113 - never raises
            return ()
        cards = (_CARD.fullmatch(file) for file in _names_in(self.root / "cards" / name))
        return tuple(sorted(int(match[1]) for match in cards if match))

    def taken(self, name: str, model: str | None) -> str:
        """Return what stands against new weights of `model` under this name, in words.

        Empty for a next version or a new name.

        A `model` that is not known yet is any.
        """
        for version in reversed(self.versions(name)):
            try:
                other = self._read_card(self._card_path(name, version)).model
            except StoreError:
                continue  # a damaged card keeps nobody from the next version
            if model not in {None, other}:
                return f"{name!r} is taken: it names your weights of {other}"
        return ""

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a name: alias -> version."""
        path = self.root / "cards" / name / "aliases.json"
        try:
            return read_record(path, _Aliases)
        except FileNotFoundError:
            return {}
        except RecordError as error:
            raise StoreError(
                f"{path} cannot be read: {error}", expected="alias -> version", fix=f"delete {path}"
            ) from error

    def remove(self, reference: str) -> WeightsCard:
        """Remove one version, and its weights when no other card names them. Raises UnknownName."""
        with self._writing():
            card = self.find(reference)
            kept = {a: v for a, v in self.aliases(card.name).items() if v != card.version}
            self._write_aliases(card.name, kept)
            self._card_path(card.name, card.version).unlink()
            if not self.versions(card.name):
                shutil.rmtree(self.root / "cards" / card.name)
            if all(other.sha256 != card.sha256 for other in self.cards()):
                self._blob_path(card.sha256).unlink(missing_ok=True)
        return card

    def rename(self, name: str, new: str) -> None:
        """Give all versions of a name another one. Raises UnknownName, and StoreError where the new one is taken."""
        with self._writing():
            if not self.versions(name):
                raise UnknownName.among("stored weights", name, self.names())
            if self.versions(new) or not is_weights_name(new):
                raise StoreError(f"{new!r} cannot be the new name", expected="a name of weights that is not taken")
            # In one step: a card's name is that of its folder.
            (self.root / "cards" / name).rename(self.root / "cards" / new)

    def export_path(self, key: str) -> Path:
        """Where the bundle that belongs to `key` (a hash) is kept. It appears there whole."""
        return self.root / "exports" / key

    @contextmanager
    def exporting(self, key: str) -> Generator[Path]:
        """Give the same place, alone among processes that would make the same bundle.

        Raises StoreError when nothing can be written there.
        """
        path = self.export_path(key)
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_locked(path.with_suffix(".lock")))
            except OSError as error:
                raise self._unwritable(error) from error
            yield path

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Alone among writers; what a killed one left half-written is removed first."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with _locked(self.root / "lock"):
                for folder in (*self.root.glob("blobs/*"), *self.root.glob("cards/*")):
                    remove_leftovers(folder)
                self._remove_unnamed()
                yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _remove_unnamed(self) -> None:
        """Remove weights that a killed writer stored and did not come to name."""
        for mark in self.root.glob(f"blobs/*/*{_UNNAMED}"):
            if not self.damage() and all(card.sha256 != mark.stem for card in self.cards()):
                self._blob_path(mark.stem).unlink(missing_ok=True)
            mark.unlink()

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            found=f"the store {self.root} cannot be written: {error.strerror or error}",
            expected="a writable folder with free space",
            fix=f"free some space, or set {HOME} to another folder; nothing half-written was left",
        )

    def _add_blob(self, source: Path | Mapping[str, Tensor]) -> tuple[Path, str, int]:
        incoming = self.root / "blobs" / "00" / "incoming"
        try:
            with atomic_write(incoming) as partial:
                if isinstance(source, Path):
                    shutil.copyfile(source, partial)
                else:
                    write_tensors(source, partial)
            sha256, size = sha256_of(incoming), incoming.stat().st_size
            blob = self._blob_path(sha256)
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not blob.exists():
                blob.with_suffix(_UNNAMED).touch()
            # A blob of that name is replaced rather than trusted: this is how a damaged one is repaired.
            incoming.replace(blob)
        finally:
            incoming.unlink(missing_ok=True)
        return blob, sha256, size

    def _existing(self, card: WeightsDraft, sha256: str) -> WeightsCard | None:
        # The same tensors at another config are another network.
        config: object = card.model_dump(mode="json")["config"]
        same = (
            other
            for other in self.cards()
            if (other.name, other.model, other.sha256, other.config) == (card.name, card.model, sha256, config)
        )
        return next(same, None)

    def _write_card(self, draft: WeightsDraft, sha256: str, size: int) -> WeightsCard:
        version = max(self.versions(draft.name), default=0) + 1
        fields = {name: getattr(draft, name) for name in WeightsDraft.model_fields}
        card = WeightsCard(**fields, version=version, sha256=sha256, size=size)
        write_text(self._card_path(card.name, version), card.model_dump_json(indent=2) + "\n")
        return card

    def _write_aliases(self, name: str, aliases: Mapping[str, int]) -> None:
        write_text(self.root / "cards" / name / "aliases.json", json.dumps(dict(aliases), indent=2) + "\n")

    def _version(self, name: str, which: str, versions: tuple[int, ...]) -> int:
        version = next((each for each in versions if str(each) == which), None) or self.aliases(name).get(which, 0)
        if version not in versions:
            choices = [*map(str, versions), *self.aliases(name)]
            raise UnknownName.among(f"version of {name!r}", which, choices)
        return version

    def _scan(self) -> Iterator[WeightsCard | StoreError]:
        for name in self.names():
            for version in self.versions(name):
                try:
                    yield self._read_card(self._card_path(name, version))
                except StoreError as error:
                    yield error

    def _read_card(self, path: Path) -> WeightsCard:
        try:
            card = read_record(path, WeightsCard)
        except (FileNotFoundError, RecordError) as error:
            raise StoreError(
                found=f"the card {path} cannot be read: {error}",
                expected="a weights card of this version of i2i-registry",
                fix=f"upgrade i2i-registry if a newer one wrote it, or delete {path}",
            ) from error
        # Where it lies decides what it is called, so that a folder of cards is renamed in one step.
        return card.model_copy(update={"name": path.parent.name, "version": int(path.stem)})

    def _card_path(self, name: str, version: int) -> Path:
        return self.root / "cards" / name / f"{version}.json"

    def _blob_path(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256[:2] / f"{sha256}.safetensors"


@contextmanager
def _locked(path: Path) -> Generator[None]:
    # filelock brings asyncio, which readers need not wait for.
    from filelock import FileLock, Timeout  # noqa: PLC0415

    lock = FileLock(path, timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            found=f"another process has held {path} for {_LOCK_SECONDS:.0f} s",
            expected="a store that is written by one process at a time",
            fix="wait for it, or end it",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _names_in(folder: Path) -> tuple[str, ...]:
    """Return what lies in a folder of the store; nothing where it does not exist. Raises StoreError with the reason."""
    try:
        return tuple(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(
            found=f"the store cannot be read: {folder}: {error.strerror or error}",
            expected="folders that this user may read",
            fix=f"mend its permissions, or set {HOME} to another folder",
        ) from error


def _check_alias(alias: str) -> None:
    if not re.fullmatch(_ALIAS, alias):
        raise UnknownName(f"{alias!r} cannot be an alias", expected="a lower-case name that starts with a letter")
