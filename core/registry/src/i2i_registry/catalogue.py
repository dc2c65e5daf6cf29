"""All weights one can name: the curated catalogue, what plugins ship, and the local store, seen as one.

`registry.toml` is curated by hand: `[[papers]]` says which plugin a paper needs, `[[weights]]` are cards. It is packed
into the wheel; in a checkout it lies at the top.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from i2i_registry.cards import WeightsCard
from i2i_registry.discovery import Registry
from i2i_registry.errors import CheckpointError, StoreError, UnknownName
from i2i_registry.store import Store
from i2i_registry.tensorfile import check_hash
from i2i_runtime.operations import Name, Record

_FILE = "registry.toml"
_PACKAGE = "package:"
_LEVELS_TO_CHECKOUT = 4

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
class Entry:
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
    def entries(self) -> tuple[Entry, ...]:
        """All weights, by name and version; what ships comes first. The same thing is never listed twice."""
        seen: dict[tuple[str, int], Entry] = {}
        for entry in self._everything():
            key = (entry.card.name, entry.card.version)
            first = seen.setdefault(key, entry)
            if first is not entry and first.card.sha256 == entry.card.sha256:
                locations = tuple(dict.fromkeys((*first.card.locations, *entry.card.locations)))
                seen[key] = Entry(first.card.model_copy(update={"locations": locations}), first.place)
        return tuple(sorted(seen.values(), key=lambda entry: (entry.card.name, entry.card.version)))

    def conflicts(self) -> tuple[str, ...]:
        """Names that mean different bytes in different places, in words, for `doctor`; the first place listed wins."""
        first: dict[tuple[str, int], Entry] = {}
        lines: list[str] = []
        for entry in self._everything():
            other = first.setdefault((entry.card.name, entry.card.version), entry)
            if other.card.sha256 != entry.card.sha256:
                lines.append(f"{entry.card.reference} is one thing in the {other.place}, another in the {entry.place}")
        return tuple(lines)

    def available(self) -> tuple[PaperEntry, ...]:
        """Papers that there is a plugin for, but not here."""
        return tuple(paper for paper in self.curated.papers if paper.model not in self.registry.models)

    def find(self, reference: str) -> WeightsCard:
        """The card that a reference means: weights by name (newest version unless `@...` says which), or a model.

        A model's name means its default weights. Raises UnknownName, with the nearest name and what to install.
        """
        name, _, which = reference.partition("@")
        versions = [entry.card for entry in self.entries if entry.card.name == name]
        if versions:
            return self._choose(name, which, versions)
        if name in self.registry.models and not which:
            return self._default_of(name)
        known = {entry.card.name for entry in self.entries} | set(self.registry.models)
        raise UnknownName.among("weights or model", name, known, self.hint(name))

    def path_of(self, card: WeightsCard) -> Path:
        """The weights file of a card, its hash verified. Raises StoreError when no place has it whole."""
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
        """What to do about a name that is not known: install its plugin, or look at the list."""
        for paper in self.curated.papers:
            if name == paper.model:
                return f"pip install {paper.plugin}"
        return self.registry.hint(name)

    def _everything(self) -> Iterator[Entry]:
        yield from (Entry(card, "catalogue") for card in self.curated.weights)
        yield from (Entry(card, "plugin") for card in self.registry.weights.values())
        yield from (Entry(card, "store") for card in self.store.cards())

    def _choose(self, name: str, which: str, versions: list[WeightsCard]) -> WeightsCard:
        if not which:
            return versions[-1]
        aliases = self.store.aliases(name)
        wanted = int(which) if which.isdecimal() else aliases.get(which, 0)
        chosen = next((card for card in versions if card.version == wanted), None)
        if chosen is None:
            choices = [str(card.version) for card in versions] + list(aliases)
            raise UnknownName.among(f"version of {name!r}", which, choices)
        return chosen

    def _default_of(self, model: str) -> WeightsCard:
        own = [entry.card for entry in self.entries if entry.card.model == model]
        default = next((card for card in own if card.default), None)
        if default is None:
            raise UnknownName(
                found=f"{model!r} is a model without default weights",
                expected="weights: " + (", ".join(card.name for card in own) or "there are none yet"),
                fix=f"i2i-registry train {model} ..., or i2i-registry import {model} CHECKPOINT --as NAME",
            )
        return default


def curated_file() -> Path:
    """Where registry.toml lies: in the installed package, or at the top of the checkout."""
    module = Path(__file__).resolve()
    packed = module.with_name(_FILE)
    if packed.is_file() or len(module.parents) <= _LEVELS_TO_CHECKOUT:
        return packed
    return module.parents[_LEVELS_TO_CHECKOUT] / _FILE


def read_curated(file: Path) -> Curated:
    """Parse a registry.toml. Raises StoreError that names the entry and field at fault."""
    try:
        content = Curated.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise StoreError(f"{file}: {error}", expected="the curated catalogue", fix="reinstall i2i-registry") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise StoreError(f"{file}: {where}: {problem['msg']}", expected="[[papers]] and [[weights]]") from error
    twice = _repeated((card.name, card.version) for card in content.weights)
    if twice:
        raise StoreError(f"{file}: {twice[0][0]}@{twice[0][1]} is there twice", expected="one entry for each version")
    return content


def local_path(location: str) -> Path | None:
    """The path a card's location means, or None when it is not on this machine (a package that is not installed).

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
