"""A Config that no operation allows is refused before anything is made with it, and the fix that is named works."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar, Literal, cast

import pytest
from torch import nn

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.config_values import with_values
from i2i_registry.interfaces.graphs import Graph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import check_declarations
from i2i_runtime.errors import OptionError
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

Fault = Literal["", "graph", "feeds", "gives", "words"]


class Sizes(Record):
    image_size: int = 16
    channels: int = 3
    fault: Fault = ""


class Halving(Model[Sizes]):
    """Sides are multiples of 4, which its Config does not know."""

    name: ClassVar[str] = "halving"
    Config: ClassVar[type[Record]] = Sizes
    presets: ClassVar[Mapping[str, Record]] = {"usual": Sizes()}

    def __init__(self, config: Sizes) -> None:
        super().__init__(config)
        self.net = nn.Conv2d(config.channels, 3, 1)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"net": self.net}

    def operations(self) -> tuple[Operation, ...]:
        side, fault = self.config.image_size, self.config.fault
        if fault == "words":
            raise ValueError("16 pixels and 3 channels go together")
        rule = SizeRule(height=side, width=side, dynamic=True, multiple=4)
        step = GraphCall(
            graph="other" if fault == "graph" else "net",
            inputs={"z" if fault == "feeds" else "input": "image"},
            outputs={"w" if fault == "gives" else "y": "image"},
        )
        image = ImageInput(name="image", size=rule)
        return (Operation(name="translate", inputs=(image,), outputs=(ImageOutput(name="image"),), steps=(step,)),)

    def graphs(self) -> Mapping[str, Graph]:
        return {"net": Graph(self.net, ("y",))}

    @classmethod
    def shrunk(cls, config: Sizes) -> Sizes:
        return config


def check(config: Sizes) -> None:
    check_declarations(Halving(config))


def test_what_goes_together_is_accepted() -> None:
    check(Sizes())
    check(Sizes(image_size=20))


FAULTS: dict[Fault, str] = {
    "graph": r"calls a graph 'other'\nexpected: one of net\n"
    r"fix: correct GraphCall.graph in Halving.operations\(\) \(.*test_registry_declarations.py, line \d+",
    "feeds": r"graph 'net' is fed z, and Conv2d.forward takes input",
    "gives": r"translate takes \['w'\] from graph 'net'\nexpected: some of its outputs: \['y'\]",
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.items())
def test_a_call_that_no_graph_answers_is_named(fault: Fault, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check(Sizes(fault=fault))


def test_what_an_operation_says_of_its_config_is_told() -> None:
    with pytest.raises(OptionError, match="16 pixels and 3 channels go together"):
        check(Sizes(fault="words"))


def test_the_value_that_no_operation_allows_is_named_and_its_fix_works() -> None:
    with pytest.raises(OptionError, match="halving with image_size=30: the model's own size 30 breaks") as caught:
        check(Sizes(image_size=30))

    _, asked = caught.value.fix.split(": ")
    values = [word for word in shlex.split(asked) if word != "--set"]
    assert values == ["image_size=16"]
    fixed, _ = with_values((Sizes(image_size=30), Sizes()), values)
    check(cast("Sizes", fixed))
