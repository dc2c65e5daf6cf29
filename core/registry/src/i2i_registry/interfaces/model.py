"""The Model interface: a paper at one configuration.

A plugin derives `Model` once. Everything a user does with the paper (train, import, export, run) goes through it.
Torch appears in annotations only, so that this module can be imported without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.graphs import Form, Graph
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import Operation
from i2i_runtime.type_guards import is_dict

if TYPE_CHECKING:
    from torch import nn


def module_attributes(owner: object) -> dict[str, nn.Module]:
    """Return the torch modules that an object has as attributes, in the order in which they were set.

    Those in an attribute that is a dictionary go by their keys. Raises PluginError where two would have one name.
    """
    from torch import nn  # noqa: PLC0415 - whoever has such an attribute has loaded torch

    found: dict[str, nn.Module] = {}
    for attribute, value in vars(owner).items():
        for name, module in (value if is_dict(value) else {attribute: value}).items():
            if not isinstance(module, nn.Module):
                continue
            if found.setdefault(str(name), module) is not module:
                raise PluginError(
                    found=f"{type(owner).__name__} has two networks named {str(name)!r}, one of them in {attribute!r}",
                    expected="a name for each: the attribute, or the key in a dictionary",
                    fix=f"rename one, or say which there are in {type(owner).__name__}.networks",
                )
    return found


C = TypeVar("C", bound=Record, covariant=True)  # noqa: PLC0105 - reads better than C_co


class Model(ABC, Generic[C]):
    """A paper at one configuration: its inference networks, what they can do, and the graphs to export."""

    name: ClassVar[str]
    Config: ClassVar[type[Record]]
    """frozen pydantic model, unknown fields refused; defaults are the paper's values"""
    presets: ClassVar[Mapping[str, Record]]
    """named configurations with the paper's values; the first is the default"""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks whose tensors are the weights: name -> module, the same objects at every call.

        A weights file holds each tensor under "<network>.<key of its state dict>". The default: the attributes that are
        modules, and those in dictionaries by their keys, in the order in which they were set.
        """
        return module_attributes(self)

    @abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """Return what the model does: inputs, outputs, and the calls of `graphs()` between them."""

    @abstractmethod
    def graphs(self) -> Mapping[str, Graph]:
        """Return the modules to export, in the order of the bundle; they share their parameters with `networks`.

        Their inputs follow from the operations that call them (`i2i_registry.interfaces.resolved_graphs`).
        """

    def intermediates(self) -> Mapping[str, Form]:
        """Values that one graph makes and another takes, by their names in operations; the default: none."""
        return {}

    @classmethod
    @abstractmethod
    def shrunk(cls, config: C) -> C:  # pyright: ignore[reportGeneralTypeIssues] - asked with a Config of the class
        """Return the same structure as small as it gets (seconds to train on a CPU), for tests."""
