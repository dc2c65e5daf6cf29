"""The toy as a paper that learns from one image: presets of its options, and a Config that follows from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast

import toolkit_toy
from pydantic import PositiveInt
from toolkit_toy import Toy, ToyTrainer

from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.plugins.discovery import Registry, build_registry
from i2i_registry.plugins.hooks import hookimpl
from i2i_runtime.records import Record
from i2i_toolkit import plugin


class Config(toolkit_toy.Config):
    """`height` and `width` are decided by the data."""

    height: PositiveInt = 1
    width: PositiveInt = 1


class Options(toolkit_toy.Options):
    """`max_size` bounds what the data decide."""

    max_size: PositiveInt = 250


class Sized(Toy):
    """A toy of the image's size."""

    Config = Config
    presets: ClassVar[Mapping[str, Record]] = {"whole": Config(), "quick": Config(channels=2)}


class SizedTrainer(ToyTrainer):
    """The data are 100 high, and as wide as the network has channels."""

    Options = Options
    presets: ClassVar[Mapping[str, Record]] = {"quick": Options(steps=1, max_size=64)}

    @classmethod
    def config_for(cls, config: Record, options: toolkit_toy.Options, root: Path) -> Record:  # noqa: ARG003
        most, width = cast("Options", options).max_size, cast("Config", config).channels
        return config.model_copy(update={"height": min(most, 100), "width": width})


class _Hooks:
    @staticmethod
    @hookimpl
    def i2i_models() -> Sequence[ModelCard]:
        (card,) = toolkit_toy.i2i_models()
        changes = {"presets": ("whole", "quick"), "model": "sized_toy:Sized", "trainer": "sized_toy:SizedTrainer"}
        return (card.model_copy(update=changes),)


def sized_registry() -> Registry:
    """This toy and the command `train`, and nothing else."""
    return build_registry([("toy", _Hooks), ("toolkit", plugin)])
