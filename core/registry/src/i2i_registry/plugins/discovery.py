"""Which plugins are installed, found without trusting any of them.

Entry points are loaded one by one. A plugin that raises, speaks another interface version, implements a hook we do not
know or shares a name with another becomes a `BrokenPlugin` in the result, and everything else goes on working.
"""

from __future__ import annotations

import importlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeVar, cast

import pluggy

from i2i_registry.errors import PluginError, UnknownName
from i2i_registry.interfaces.cards import INTERFACE_VERSION, CommandCard, ExporterCard, ModelCard, WeightsCard
from i2i_registry.interfaces.exporter import ModelOrigin
from i2i_registry.plugins import hooks
from i2i_registry.plugins.failures import failure, first_line
from i2i_registry.plugins.shipped_weights import shipped_weights
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from i2i_registry.interfaces.exporter import Exporter
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import OfficialFormat
    from i2i_registry.interfaces.trainer import AnyTrainer

T = TypeVar("T")

STRICT = "I2I_STRICT"
"""Environment variable: when it is "1", a broken plugin raises instead of being reported, for plugin authors."""

Card = ModelCard | ExporterCard | CommandCard | WeightsCard


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that loaded: its entry point, and the distribution it comes from."""

    name: str
    distribution: str
    version: str

    @property
    def label(self) -> str:
        """Distribution and version, as cards record it: "i2i-plugin-ugatit 0.1.0"."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that cannot be used, why, and what to do about it."""

    name: str
    distribution: str
    version: str
    reason: str
    fix: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Cards:
    """What one plugin brings."""

    models: tuple[ModelCard, ...] = ()
    exporters: tuple[ExporterCard, ...] = ()
    commands: tuple[CommandCard, ...] = ()
    weights: tuple[WeightsCard, ...] = ()

    def named(self) -> Iterator[tuple[str, Card]]:
        """Every card with its kind in words."""
        yield from (("model", card) for card in self.models)
        yield from (("exporter", card) for card in self.exporters)
        yield from (("command", card) for card in self.commands)
        yield from (("weights", card) for card in self.weights)


@dataclass(frozen=True, slots=True)
class Registry:
    """What the installed plugins bring, by name. A plain value: pass it on; tests build their own."""

    models: Mapping[str, ModelCard] = field(default_factory=lambda: MappingProxyType({}))
    exporters: Mapping[str, ExporterCard] = field(default_factory=lambda: MappingProxyType({}))
    commands: Mapping[str, CommandCard] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, WeightsCard] = field(default_factory=lambda: MappingProxyType({}))
    """what the plugins ship; the curated catalogue and the local store are added by `i2i_registry.weights.catalogue`"""
    plugins: tuple[Plugin, ...] = ()
    broken: tuple[BrokenPlugin, ...] = ()
    sources: Mapping[str, Plugin] = field(default_factory=lambda: MappingProxyType({}))
    """model name -> the plugin it comes from"""
    exporter_sources: Mapping[str, Plugin] = field(default_factory=lambda: MappingProxyType({}))
    """exporter name -> the plugin it comes from"""

    def model_card(self, name: str) -> ModelCard:
        """Return the card of a model. Raises UnknownName with the nearest name, and names broken plugins."""
        if name not in self.models:
            raise UnknownName.among("model", name, self.models, self.hint(name))
        return self.models[name]

    def model_class(self, name: str) -> type[Model[Record]]:
        """Return the Model class itself; this imports the plugin's code, and torch with it."""
        from i2i_registry.interfaces.model import Model  # noqa: PLC0415 - commands that list need no interface

        return import_class(self.model_card(name).model, Model)

    def official_format(self, name: str) -> OfficialFormat[Record] | None:
        """How official checkpoints of a model are read and written; None: it has no such format.

        This imports the format, and not the model. Raises PluginError when the card names something else.
        """
        from i2i_registry.interfaces.official import OfficialFormat  # noqa: PLC0415 - most commands need no format

        card = self.model_card(name).official
        if card is None:
            return None
        found = import_attribute(card.format)
        if not isinstance(found, OfficialFormat):
            raise PluginError(
                found=f"{card.format} is {found!r}",
                expected="an instance of a class derived from OfficialFormat",
                fix="put the instance on the card, not its class",
            )
        return cast("OfficialFormat[Record]", found)

    def trainer_class(self, name: str) -> type[AnyTrainer]:
        """Return the Trainer class of a model. Raises UnknownName when the paper cannot be trained here."""
        from i2i_registry.interfaces.trainer import Trainer  # noqa: PLC0415 - commands that list need no interface

        card = self.model_card(name)
        if card.trainer is None:
            trainable = [other for other, its in self.models.items() if its.trainer]
            raise UnknownName.among("trainer for the model", name, trainable, "this plugin only runs and imports")
        return import_class(card.trainer, Trainer)

    def exporter(self, name: str) -> Exporter:
        """Return a ready exporter. Raises UnknownName with the nearest name."""
        return self.exporter_class(name)(self.origins())

    def exporter_class(self, name: str) -> type[Exporter]:
        """Return the Exporter class of that name. Raises UnknownName with the nearest name."""
        from i2i_registry.interfaces.exporter import Exporter  # noqa: PLC0415 - commands that list need no interface

        if name not in self.exporters:
            fix = f"pip install i2i-exporter-{name}"
            raise UnknownName.among("exporter", name, self.exporters, fix)
        return import_class(self.exporters[name].exporter, Exporter)

    def origins(self) -> dict[str, ModelOrigin]:
        """Every model's card with the distribution that brings it, as an exporter takes them."""
        return {
            name: ModelOrigin(card, self.sources[name].distribution, self.sources[name].version)
            for name, card in self.models.items()
        }

    def hint(self, name: str) -> str:
        """Return what to do about a name that is not known: mend the plugin that seems to be meant, or install it."""
        for plugin in self.broken:
            if name in plugin.name or name in plugin.distribution:
                return f"{plugin.distribution} is installed but broken ({plugin.reason}): {plugin.fix}"
        return "`i2i-registry list` shows what there is; another paper is a plugin: pip install i2i-plugin-<name>"


def discover(*, strict: bool | None = None) -> Registry:
    """Load every entry point of the group "i2i", each guarded.

    `strict` (default: whether the environment says I2I_STRICT=1) raises PluginError at the first broken plugin.
    """
    if strict is None:
        strict = os.environ.get(STRICT) == "1"
    found = sorted(entry_points(group=hooks.GROUP), key=lambda point: (_plugin_of(point).distribution, point.name))
    return _collect([(_plugin_of(point), point) for point in found], strict=strict)


def build_registry(modules: Iterable[tuple[str, object]], *, strict: bool = True) -> Registry:
    """Return a registry of (name, module or object with hook implementations) pairs, for tests and embedding.

    Each counts as the distribution of its name, version 0.
    """
    return _collect([(Plugin(name, name, "0"), module) for name, module in modules], strict=strict)


def import_class(attribute: str, kind: type[T]) -> type[T]:
    """Import the class that a card names. Raises PluginError when it is none that derives from `kind`."""
    found = import_attribute(attribute)
    if isinstance(found, type) and issubclass(found, kind):
        return found
    raise PluginError(
        found=f"{attribute} is {found!r}",
        expected=f"a class derived from {kind.__name__}",
        fix="name that class on the card",
    )


def import_attribute(attribute: str) -> object:
    """Import what "package.module:name" means.

    Raises PluginError when the module cannot be imported or has no such name.
    """
    module_name, _, name = attribute.partition(":")
    try:
        return getattr(importlib.import_module(module_name), name)
    except Exception as error:
        # The second half of what discovery guards: a card loaded, and the code behind it may do anything when it does.
        raise PluginError(
            found=f"{attribute} cannot be loaded: {first_line(error)}",
            expected="a module that imports, with that name in it",
            fix="reinstall the plugin; `i2i-registry doctor` shows the versions",
        ) from error


def _plugin_of(point: EntryPoint) -> Plugin:
    if point.dist is None:
        return Plugin(point.name, point.value.partition(".")[0], "")
    return Plugin(point.name, point.dist.name, point.dist.version)


def _collect(found: Sequence[tuple[Plugin, object]], *, strict: bool) -> Registry:
    good: list[tuple[Plugin, Cards]] = []
    broken: list[BrokenPlugin] = []
    for plugin, source in found:
        # The one place where everything is caught: whatever a stranger's module does while it is imported (SystemExit
        # included) must become a line in `i2i-registry plugins`, not the end of the program.
        try:
            good.append((plugin, _cards_of(plugin, source)))
        except (Exception, SystemExit) as error:
            told = failure(plugin.distribution, _entry_point(plugin, source), error)
            if strict:
                raise PluginError(f"{plugin.label}: {told.found}", told.expected, told.fix) from error
            broken.append(_broken(plugin, told))
    conflicts = _conflicts(good)
    if conflicts and strict:
        raise PluginError(f"{conflicts[0].distribution}: {conflicts[0].reason}", fix=conflicts[0].fix)
    clashing = {(plugin.distribution, plugin.name) for plugin in conflicts}
    good = [(plugin, cards) for plugin, cards in good if (plugin.distribution, plugin.name) not in clashing]
    return _merge(good, (*broken, *conflicts))


def _merge(good: Sequence[tuple[Plugin, Cards]], broken: tuple[BrokenPlugin, ...]) -> Registry:
    return Registry(
        models=MappingProxyType({card.name: card for _, cards in good for card in cards.models}),
        exporters=MappingProxyType({card.name: card for _, cards in good for card in cards.exporters}),
        commands=MappingProxyType({card.name: card for _, cards in good for card in cards.commands}),
        weights=MappingProxyType({card.name: card for _, cards in good for card in cards.weights}),
        plugins=tuple(plugin for plugin, _ in good),
        broken=broken,
        sources=MappingProxyType({card.name: plugin for plugin, cards in good for card in cards.models}),
        exporter_sources=MappingProxyType({card.name: plugin for plugin, cards in good for card in cards.exporters}),
    )


class _Manager(pluggy.PluginManager):
    """Looks only at what a module holds already.

    pluggy reads every name of `dir(module)`, which would set off the lazy imports of a module's `__getattr__`.
    """

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if isinstance(plugin, ModuleType) and name not in vars(plugin):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def _cards_of(plugin: Plugin, source: object) -> Cards:
    """Import one plugin and ask its hooks. A manager of its own keeps its failures apart from everybody else's."""
    module = source.load() if isinstance(source, EntryPoint) else source
    manager = _Manager(hooks.GROUP)
    manager.add_hookspecs(hooks)
    manager.register(module, plugin.name)
    manager.check_pending()
    hook = manager.hook
    cards = Cards(
        models=tuple(card for answer in hook.i2i_models() for card in answer),
        exporters=tuple(card for answer in hook.i2i_exporters() for card in answer),
        commands=tuple(card for answer in hook.i2i_commands() for card in answer),
        weights=shipped_weights(module),
    )
    _check(plugin, cards)
    return cards


_KINDS: Mapping[str, type[Card]] = {
    "model": ModelCard,
    "exporter": ExporterCard,
    "command": CommandCard,
    "weights": WeightsCard,
}


def _check(plugin: Plugin, cards: Cards) -> None:
    seen: set[tuple[str, str]] = set()
    for kind, card in cards.named():
        if not isinstance(card, _KINDS[kind]):
            raise PluginError(f"the {kind} hook gave {card!r}", expected=f"a {_KINDS[kind].__name__}")
        if (kind, card.name) in seen:
            raise PluginError(f"it brings two of the {kind} {card.name!r}")
        seen.add((kind, card.name))
        interface = INTERFACE_VERSION if isinstance(card, WeightsCard) else card.interface
        if interface > INTERFACE_VERSION:
            raise PluginError(
                f"{kind} {card.name!r} was written for interface {interface}, newer than ours ({INTERFACE_VERSION})",
                fix="pip install --upgrade i2i-registry i2i-toolkit",
            )
        if interface < INTERFACE_VERSION:
            raise PluginError(
                f"{kind} {card.name!r} was written for interface {interface}, older than ours ({INTERFACE_VERSION})",
                fix=f"pip install --upgrade {plugin.distribution}",
            )


def _conflicts(good: Sequence[tuple[Plugin, Cards]]) -> tuple[BrokenPlugin, ...]:
    """Every plugin that shares a name with another one; none of them is preferred, so that nothing depends on order."""
    owners: dict[tuple[str, str], list[Plugin]] = defaultdict(list)
    for plugin, cards in good:
        for kind, card in cards.named():
            owners[kind, card.name].append(plugin)
    clashes: dict[Plugin, BrokenPlugin] = {}
    for (kind, name), plugins in owners.items():
        if len(plugins) == 1:
            continue
        who = " and ".join(sorted(plugin.distribution for plugin in plugins))
        for plugin in plugins:
            others = ", ".join(sorted(other.distribution for other in plugins if other is not plugin))
            fix = f"keep one of them: pip uninstall {plugin.distribution} (or {others})"
            clashes.setdefault(plugin, _broken(plugin, PluginError(f"{who} both bring the {kind} {name!r}", fix=fix)))
    return tuple(clashes.values())


def _broken(plugin: Plugin, why: PluginError) -> BrokenPlugin:
    return BrokenPlugin(plugin.name, plugin.distribution, plugin.version, why.found, why.fix, why.expected)


def _entry_point(plugin: Plugin, source: object) -> str:
    return f"{source.name} = {source.value}" if isinstance(source, EntryPoint) else plugin.name
