"""What all commands share: the installed plugins and the store, looked up when a command first needs them."""

from __future__ import annotations

from functools import cached_property

import click

from i2i_registry.plugins.discovery import Registry, discover
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store


class Session:
    """One run of the program."""

    def __init__(self, registry: Registry | None = None, store: Store | None = None) -> None:
        self._registry = registry
        self._store = store

    @cached_property
    def registry(self) -> Registry:
        """The installed plugins."""
        return self._registry or discover()

    @cached_property
    def store(self) -> Store:
        """The local store."""
        return self._store or Store.default()

    @property
    def catalogue(self) -> Catalogue:
        """All weights, as of now."""
        return Catalogue.gather(self.registry, self.store)


pass_session = click.make_pass_decorator(Session)
