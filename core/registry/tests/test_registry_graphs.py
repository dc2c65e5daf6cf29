"""What a graph takes follows from the operations that call it: names, order, axes, test values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest
from torch import Tensor, nn

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.graphs import BATCH, Axis, Form, Graph, ResolvedGraph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.grid import GridInput
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.records import OperationName, Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Input, Operation, VectorOutput

FREE = SizeRule(height=32, width=48, dynamic=True, multiple=4, minimum=8)
SIDES = (Axis("height", 32, 4, 8), Axis("width", 48, 4, 8))
IMAGE = ImageInput(name="image", channels=1, size=FREE)
RESULT = (ImageOutput(name="image"),)


class Paint(nn.Module):
    def forward(self, image: Tensor, style: Tensor | None = None, *maps: Tensor) -> Tensor:
        raise NotImplementedError


class Map(nn.Module):
    def forward(self, latent: Tensor, domain: Tensor, psi: Tensor) -> Tensor:
        raise NotImplementedError


class Declaring(Model[Record]):
    """Declares what a test gives it."""

    name: ClassVar[str] = "declaring"
    Config: ClassVar[type[Record]] = Record
    presets: ClassVar[Mapping[str, Record]] = {"usual": Record()}

    def __init__(
        self,
        operations: Sequence[Operation],
        graphs: Mapping[str, Graph],
        intermediates: Mapping[str, Form] | None = None,
    ) -> None:
        super().__init__(Record())
        self.declared = tuple(operations), graphs, intermediates or {}

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {}

    def operations(self) -> tuple[Operation, ...]:
        return self.declared[0]

    def graphs(self) -> Mapping[str, Graph]:
        return self.declared[1]

    def intermediates(self) -> Mapping[str, Form]:
        return self.declared[2]

    @classmethod
    def shrunk(cls, config: Record) -> Record:
        return config


def call(graph: str, *names: str, made: Mapping[str, str], **constants: float) -> GraphCall:
    return GraphCall(graph=graph, inputs={n: n for n in names}, outputs=dict(made), constants=constants)


def resolved(operations: Sequence[Operation], **graphs: Graph) -> Mapping[str, ResolvedGraph]:
    return resolved_graphs(Declaring(operations, graphs))


def painted(inputs: Sequence[Input], *fed: str, module: nn.Module | None = None) -> ResolvedGraph:
    paint = call("paint", *fed, made={"y": "image"})
    operation = Operation(name="translate", inputs=tuple(inputs), outputs=RESULT, steps=(paint,))
    return resolved([operation], paint=Graph(module or Paint(), ("y",)))["paint"]


PAINT = Graph(Paint(), ("y",))


def painting(name: OperationName, inputs: tuple[Input, ...]) -> Operation:
    paint = call("paint", *(value.name for value in inputs), made={"y": "image"})
    return Operation(name=name, inputs=inputs, outputs=RESULT, steps=(paint,))


def test_axes_and_test_values_are_those_of_the_kinds() -> None:
    noise = NoiseInput(name="noise", channels=3, height=16, width=24, border=2)
    inputs = (
        IMAGE,
        LatentInput(name="style", shape=(5,)),
        SizeInput(height=32, width=48, minimum_height=8, minimum_width=12),
        noise,
        MaskInput(name="mask", image="image"),
        GridInput(name="grid", image="image", coverage="coverage"),
        LabelInput(name="domain", names=("cat", "dog")),
        ScalarInput(name="start", default=1, minimum=1, maximum=4, whole=True),
    )
    graph = painted(inputs, "noise", "mask", "image", "style", "grid", "coverage", "domain", "start")
    out = (Axis("out_height", 32, 1, 8), Axis("out_width", 48, 1, 12))
    assert dict(graph.inputs) == {
        "image": Form((BATCH, 1, *SIDES), "image"),
        "style": Form((BATCH, 5), "normal"),
        "noise": Form((BATCH, 3, Axis("noise_height", 18, 1, 6), Axis("noise_width", 26, 1, 8)), "normal"),
        "mask": Form((BATCH, 1, *SIDES), "uniform", 0),
        "grid": Form((BATCH, *out, 2), "uniform"),
        "coverage": Form((BATCH, 1, *out), "uniform", 0),
        "domain": Form((BATCH,), "index", 0, 1),
        "start": Form((BATCH,), "whole", 1, 4),
    }
    # As forward takes them; what it has no name for goes to its *maps, in the order of the call.
    assert list(graph.inputs) == ["image", "style", "noise", "mask", "grid", "coverage", "domain", "start"]


def test_outputs_that_become_images_are_told_in_levels() -> None:
    assert painted([IMAGE], "image").images == {"y"}


def test_what_operations_leave_open_and_what_they_fix_are_one_range() -> None:
    anchor = ScalarInput(name="psi", default=0.5, minimum=0.25, maximum=0.75)
    latent, domain = LatentInput(name="latent", shape=(4,)), LabelInput(name="domain", names=("cat", "dog"))
    made, style = {"style": "style"}, (VectorOutput(name="style"),)
    fixed = call("map", "latent", "domain", made=made, psi=1.0)
    free = call("map", "latent", "domain", "psi", made=made)
    operations = [
        Operation(name="sample", inputs=(latent, domain), outputs=style, steps=(fixed,)),
        Operation(name="encode", inputs=(latent, domain, anchor), outputs=style, steps=(free,)),
    ]
    graph = resolved(operations, map=Graph(Map(), ("style",)))["map"]
    assert graph.inputs["psi"] == Form((BATCH,), "uniform", 0.25, 1.0)
    assert graph.images == set()


def test_a_graph_is_as_free_as_the_freest_of_its_operations() -> None:
    fixed = ImageInput(name="image", channels=1, size=SizeRule(height=16, width=16))
    operations = [painting("translate", (fixed,)), painting("edit", (IMAGE,))]
    assert resolved(operations, paint=PAINT)["paint"].inputs["image"].axes == (BATCH, 1, *SIDES)


def test_sides_of_two_images_are_free_of_each_other() -> None:
    other = ImageInput(name="reference", size=FREE)
    axes = painted([IMAGE, other], "image", "reference").inputs["reference"].axes
    assert axes[2:] == (Axis("reference_height", 32, 4, 8), Axis("reference_width", 48, 4, 8))


def styled(intermediates: Mapping[str, Form]) -> Mapping[str, ResolvedGraph]:
    latent, domain = LatentInput(name="latent", shape=(4,)), LabelInput(name="domain", names=("cat", "dog"))
    psi = ScalarInput(name="psi", default=1, minimum=0, maximum=1)
    steps = (
        call("map", "latent", "domain", "psi", made={"style": "style"}),
        call("paint", "image", "style", made={"y": "image"}),
    )
    operation = Operation(name="translate", inputs=(IMAGE, latent, domain, psi), outputs=RESULT, steps=steps)
    return resolved_graphs(Declaring([operation], {"map": Graph(Map(), ("style",)), "paint": PAINT}, intermediates))


def test_what_one_graph_makes_for_another_is_declared_once() -> None:
    style = Form((BATCH, 7), "normal")
    assert styled({"style": style})["paint"].inputs["style"] == style
    with pytest.raises(PluginError, match=r"nothing says what 'style' of graph 'paint' looks like(.|\n)*intermediates"):
        styled({})


def test_a_name_that_forward_does_not_take_is_refused() -> None:
    latent, domain = LatentInput(name="latent", shape=(4,)), LabelInput(name="domain", names=("cat", "dog"))
    with pytest.raises(
        PluginError, match=r"graph 'paint' is fed latent, domain, and Map.forward takes latent, domain, psi"
    ):
        painted([IMAGE, latent, domain], "latent", "domain", module=Map())


def test_shapes_that_no_graph_takes_both_are_refused() -> None:
    colour = ImageInput(name="image", size=FREE)
    operations = [painting("translate", (IMAGE,)), painting("edit", (colour,))]
    shown = r"as \['batch', 1, 'height', 'width'\] and as \['batch', 3, 'height', 'width'\]"
    with pytest.raises(PluginError, match=f"graph 'paint' is fed 'image' {shown}"):
        resolved(operations, paint=PAINT)


def test_a_graph_that_no_operation_calls_is_refused() -> None:
    with pytest.raises(PluginError, match="no operation calls graph 'map'"):
        resolved([painting("translate", (IMAGE,))], paint=PAINT, map=Graph(Map(), ("style",)))


def test_operations_feed_a_graph_the_same_inputs() -> None:
    style = LatentInput(name="style", shape=(4,))
    operations = [painting("translate", (IMAGE,)), painting("edit", (IMAGE, style))]
    found = r"edit feeds \['image', 'style'\] to graph 'paint', and translate feeds \['image'\]"
    with pytest.raises(PluginError, match=found):
        resolved(operations, paint=PAINT)
