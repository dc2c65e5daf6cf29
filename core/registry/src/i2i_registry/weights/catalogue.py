"""All weights one can name: the curated catalogue, what plugins ship, and the local store, seen as one.

`registry.toml` is curated by hand: `[[papers]]` says which plugin a paper needs, `[[weights]]` are cards. It is packed
into the wheel; in a checkout it lies at the top.

What a name means, for every command, in this order:

1. a bundle on the disk, where a command takes bundles (`i2i_registry.actions.target.Target`): a folder with a
   manifest, or what can only be a path;
2. weights of the local store: `NAME` is the newest version, `NAME@2` a version, `NAME@best` an alias;
3. weights that ship, in the curated catalogue or with a plugin;
4. a model, which means its default weights.

So nothing that ships ever stands before what is the user's own, and `check_name` keeps new names apart from all others.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from i2i_registry.checkpoints.tensor_files import check_hash
from i2i_registry.errors import CheckpointError, StoreError, UnknownName
from i2i_registry.interfaces.cards import WeightsCard, is_weights_name
from i2i_registry.plugins.discovery import Registry
from i2i_registry.record_files import problems_in_words
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_runtime.files.regular import read_regular
from i2i_runtime.records import Name, Record
from i2i_runtime.untrusted_text import printable

_FILE = "registry.toml"
_PACKAGE = "package:"
_LEVELS_TO_CHECKOUT = 3
_MOST_BYTES, _MOST_DOTS = 256 << 10, 100
"""of a registry.toml, and of one of its lines"""
_LONGEST_STEM, _MOST_TRIED = 50, 10_000

Place = Literal["catalogue", "plugin", "store"]


class PaperEntry(Record):
    """A paper that there is a plugin for, installed or not."""

    model: Name
    title: str
    plugin: str
    """the distribution: `pip install <plugin>`"""


class Curated(Record):
    """registry.toml."""

    papers: tuple[PaperEntry, ...] = ()
    weights: tuple[WeightsCard, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """Weights, and where they were found."""

    card: WeightsCard
    place: Place


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be named, from one moment."""

    registry: Registry
    store: Store
    curated: Curated

    @classmethod
    def gather(cls, registry: Registry, store: Store, file: Path | None = None) -> Catalogue:
        """Read the curated catalogue (`file`, default: the one that ships). Raises StoreError when it is damaged."""
        return cls(registry, store, read_curated(file or curated_file()))

    @cached_property
    def entries(self) -> tuple[CatalogueEntry, ...]:
        """All weights that can be named, by name and version. The same thing is never listed twice."""
        seen: dict[tuple[str, int], CatalogueEntry] = {}
        for entry in self._everything():
            if entry.place != "store" and entry.card.name in self._own:
                continue
            key = (entry.card.name, entry.card.version)
            first = seen.setdefault(key, entry)
            if first is not entry and first.card.sha256 == entry.card.sha256:
                locations = tuple(dict.fromkeys((*first.card.locations, *entry.card.locations)))
                seen[key] = CatalogueEntry(first.card.model_copy(update={"locations": locations}), first.place)
        return tuple(sorted(seen.values(), key=lambda entry: (entry.card.name, entry.card.version)))

    def conflicts(self) -> tuple[str, ...]:
        """Shipped weights of one name and different bytes, in words, for `doctor`; the first place listed wins."""
        first: dict[tuple[str, int], CatalogueEntry] = {}
        lines: list[str] = []
        for entry in self._shipped():
            other = first.setdefault((entry.card.name, entry.card.version), entry)
            if other.card.sha256 != entry.card.sha256:
                lines.append(f"{entry.card.reference} is one thing in the {other.place}, another in the {entry.place}")
        return tuple(lines)

    def hidden(self) -> tuple[str, ...]:
        """Names of the user's own weights behind which others of that name stand: weights that ship, or a model."""
        return tuple(sorted(self._own & {*(entry.card.name for entry in self._shipped()), *self.registry.models}))

    def check_name(self, name: str, model: str | None = None, *, unused: bool = False) -> None:
        """Whether new weights (of `model`, where that is known) may be called `name`; asked before any work.

        Raises UsageError when the name is malformed, or names a model, weights that ship, or own weights of another
        model, with `unused` any own weights; `fix` is a name that is free.
        """
        words = None if is_weights_name(name) else f"{name!r} cannot be the name of weights"
        words = words or self._taken(name, model)
        if not words and unused and name in self._own:
            words = f"{name!r} is taken: it names weights of yours"
        if words:
            raise UsageError(
                found=words,
                expected="lower-case letters, digits, '.', '_' and '-', at most 64, that name nothing else",
                fix=f"choose another: --as {self.free_name(name)}",
            )

    def free_name(self, name: str) -> str:
        """Return a name like this one that means nothing yet."""
        plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")[:_LONGEST_STEM].rstrip("._-")
        stem = plain if plain.startswith("my-") else f"my-{plain or 'weights'}"
        used = {*self._own, *(entry.card.name for entry in self._shipped()), *self.registry.models}
        used |= {paper.model for paper in self.curated.papers}
        candidates = (plain, stem, *(f"{stem}-{number}" for number in range(2, _MOST_TRIED)))
        return next(each for each in candidates if is_weights_name(each) and each not in used)

    def names_weights(self, name: str) -> bool:
        """Whether weights have this name; then it does not mean a model."""
        return any(entry.card.name == name for entry in self.entries)

    def available(self) -> tuple[PaperEntry, ...]:
        """Papers that there is a plugin for, but not here."""
        return tuple(paper for paper in self.curated.papers if paper.model not in self.registry.models)

    def find(self, reference: str) -> WeightsCard:
        """Return the card that a reference means, in the order that stands above.

        Raises UnknownName, with the nearest name and what to install, and StoreError when own weights of that name are
        damaged: others never step in their place.
        """
        name, _, which = reference.partition("@")
        if name in self._own:
            return self.store.find(reference)
        versions = [entry.card for entry in self.entries if entry.card.name == name]
        if versions:
            return self._choose(name, which, versions)
        if name in self.registry.models:
            return self._default_of(name, which)
        known = {entry.card.name for entry in self.entries} | set(self.registry.models)
        raise UnknownName.among("weights or model", name, known, self.hint(name))

    def path_of(self, card: WeightsCard) -> Path:
        """Return the weights file of a card, its hash verified. Raises StoreError when no place has it whole."""
        if self.store.has(card):
            return self.store.path_of(card)
        tried: list[str] = []
        for location in card.locations:
            path = local_path(location)
            if path is None or not path.is_file():
                tried.append(f"{location} is not here")
                continue
            try:
                check_hash(path, card.sha256)
            except CheckpointError as error:
                tried.append(error.found)
                continue
            return path
        raise StoreError(
            found=f"the file of {card.reference} cannot be had: {'; '.join(tried) or 'its card names no place'}",
            expected=f"a file with sha256 {card.sha256}",
            fix=f"pip install --force-reinstall {card.plugin.partition(' ')[0]}",
        )

    def hint(self, name: str) -> str:
        """Return what to do about a name that is not known: install its plugin, or look at the list."""
        for paper in self.curated.papers:
            if name == paper.model:
                return f"pip install {paper.plugin}"
        return self.registry.hint(name)

    def _everything(self) -> Iterator[CatalogueEntry]:
        yield from self._shipped()
        yield from (CatalogueEntry(card, "store") for card in self.store.cards())

    def _shipped(self) -> Iterator[CatalogueEntry]:
        yield from (CatalogueEntry(card, "catalogue") for card in self.curated.weights)
        yield from (CatalogueEntry(card, "plugin") for card in self.registry.weights.values())

    @cached_property
    def _own(self) -> frozenset[str]:
        return frozenset(self.store.names())

    def _taken(self, name: str, model: str | None) -> str:
        """Return what the name means already, in words; empty where weights of `model` may have it."""
        if name in self._own:
            return self.store.taken(name, model)
        if name in self.registry.models or any(name == paper.model for paper in self.curated.papers):
            return f"{name!r} is taken: it names a model"
        if any(entry.card.name == name for entry in self._shipped()):
            return f"{name!r} is taken: it names weights that ship"
        return ""

    def _choose(self, name: str, which: str, versions: list[WeightsCard]) -> WeightsCard:
        if not which:
            return versions[-1]
        chosen = next((card for card in versions if str(card.version) == which), None)
        if chosen is None:
            raise UnknownName.among(f"version of {name!r}", which, [str(card.version) for card in versions])
        return chosen

    def _default_of(self, model: str, which: str) -> WeightsCard:
        default = next(
            (entry.card for entry in self._shipped() if entry.card.model == model and entry.card.default), None
        )
        if default is None:
            own = [entry.card for entry in self.entries if entry.card.model == model]
            raise UnknownName(
                found=f"{model!r} is a model without default weights",
                expected="weights: " + (", ".join(card.name for card in own) or "there are none yet"),
                fix=f"i2i-registry train {model} ..., or i2i-registry import {model} CHECKPOINT --as NAME",
            )
        if which:
            raise UnknownName(
                found=f"{model!r} is a model, and has no version {which!r}",
                expected=f"a name alone, or a version of weights; its default: {default.reference}",
                fix=f"i2i-registry info {default.reference}",
            )
        return default


def curated_file() -> Path:
    """Where registry.toml lies: in the installed package, or at the top of the checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / _FILE
    if packed.is_file() or len(package.parents) <= _LEVELS_TO_CHECKOUT:
        return packed
    return package.parents[_LEVELS_TO_CHECKOUT] / _FILE


def read_curated(file: Path) -> Curated:
    """Parse a registry.toml. Raises StoreError that names the entry and field at fault."""
    try:
        content = Curated.model_validate(_parse(read_regular(file, _MOST_BYTES).decode()))
    except (OSError, ValueError, RecursionError) as error:
        reason = problems_in_words(error) if isinstance(error, ValidationError) else printable(str(error))
        raise StoreError(
            f"{file}: {reason}", expected="[[papers]] and [[weights]]", fix="reinstall i2i-registry"
        ) from error
    twice = _repeated((card.name, card.version) for card in content.weights)
    if twice:
        raise StoreError(f"{file}: {twice[0][0]}@{twice[0][1]} is there twice", expected="one entry for each version")
    return content


def _parse(text: str) -> dict[str, object]:
    # The parser takes quadratic time for a key of many parts.
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def local_path(location: str) -> Path | None:
    """Return the path of a card's location, or None when it is not on this machine (a package not installed).

    "package:i2i_plugin_ugatit/weights/poster.safetensors" is found without importing the package, which would load
    torch. Raises StoreError for a location that leaves its package.
    """
    if not location.startswith(_PACKAGE):
        return None if "://" in location else Path(location)
    inside = PurePosixPath(location.removeprefix(_PACKAGE))
    package, *rest = inside.parts
    if ".." in rest or not package.isidentifier():
        raise StoreError(f"location {location!r} leaves its package", expected="package:<package>/<file>")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)


def _repeated(keys: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    listed = list(keys)
    return [key for key in listed if listed.count(key) > 1]
