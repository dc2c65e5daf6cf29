"""A model is what its Config says: it builds, its operations fit its graphs, and every field matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import torch
from pydantic import JsonValue, ValidationError
from torch import Tensor

from i2i_conformance.alternatives import variants
from i2i_conformance.building import build, state
from i2i_conformance.cases import PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.reference import example_inputs, run_graph
from i2i_registry.errors import PluginError
from i2i_registry.interfaces.graphs import ResolvedGraph
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import check_declarations, resolved_graphs
from i2i_runtime.errors import I2IError, OptionError
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import ImageOutput, Operation

IMAGE_RANGE = (-1.0, 1.0)
"""What the exporter feeds to a graph for an image, and what it takes the images of a graph to be."""

ODD_NUMBERS = (30, 100)
"""Neither is a power of two; 30 is no multiple of 4, and 100 is more channels than an image has."""


@promised("Model.networks")
def check_builds_in_full(case: PresetCase) -> None:
    """The preset at the paper's size builds on torch's meta device, with parameters in each network."""
    model = case.build_on_meta()
    for name, network in model.networks.items():
        if not any(parameter.numel() for parameter in network.parameters()):
            raise ConformanceError(
                found=f"network {name!r} has no parameters",
                expected="networks whose tensors are the weights",
                fix=f"leave {name!r} out of `networks`",
            )
        real = [key for key, tensor in network.state_dict().items() if not tensor.is_meta]
        if real:
            raise ConformanceError(
                found=f"under torch.device('meta') {name}.{real[0]} is made on {network.state_dict()[real[0]].device}",
                expected="networks that are made where torch says",
                fix="make tensors with torch's functions and without device=, not from numpy",
            )
    if {name: id(network) for name, network in model.networks.items()} != {n: id(v) for n, v in model.networks.items()}:
        raise ConformanceError("`networks` gives new objects at every call", expected="the same objects")


@promised("Model.shrunk")
def check_shrunk_keeps_structure(case: PresetCase) -> None:
    """`shrunk` gives a Config with the networks, graphs and operations of the whole, and few parameters."""
    whole, small = case.build_on_meta(), case.build()
    for what, of_whole, of_small in (
        ("networks", list(whole.networks), list(small.networks)),
        ("graphs", list(whole.graphs()), list(small.graphs())),
        ("operations", [o.name for o in whole.operations()], [o.name for o in small.operations()]),
    ):
        if of_whole != of_small:
            raise ConformanceError(
                found=f"{what} of {case}: {of_whole}, shrunk: {of_small}",
                expected="the same structure, smaller",
                fix="change sizes in shrunk(), not the kind of network",
            )
    count = sum(tensor.numel() for tensor in state(small.networks).values())
    if count > LARGEST_SHRUNK:
        raise ConformanceError(
            found=f"{case} shrunk has {count:,} parameters",
            expected=f"at most {LARGEST_SHRUNK:,}, so that the suite takes seconds",
            fix="fewer channels and blocks in shrunk()",
        )


LARGEST_SHRUNK = 2_000_000
"""numbers in all state dicts"""


@promised("Model.operations")
def check_wiring(model: Model[Record], operation: Operation) -> None:
    """Calls feed graphs what their modules take, and images have the range in which graphs are measured."""
    try:
        resolved_graphs(model)
    except PluginError as error:
        raise ConformanceError(error.found, expected=error.expected, fix=error.fix) from error
    outputs = [output for output in operation.outputs if isinstance(output, ImageOutput)]
    for which, values in (("input", operation.of(ImageInput)), ("output", outputs)):
        for value in values:
            if value.value_range != IMAGE_RANGE:
                raise ConformanceError(
                    found=f"{operation.name}'s {which} {value.name!r} has the value range {value.value_range}",
                    expected=f"{IMAGE_RANGE}: the range in which graphs are fed and measured",
                    fix="scale inside the graph when the network wants another range",
                )


@promised("Model.graphs")
def check_graph_runs(name: str, graph: ResolvedGraph) -> None:
    """The module takes its declared inputs and returns what it declares, batch first, without randomness."""
    names = [*graph.inputs, *graph.outputs]
    if len(set(names)) < len(names):
        raise ConformanceError(
            found=f"the inputs and outputs of graph {name!r} are called {names}",
            expected="different names: exporters cannot tell an input from an output of its name",
            fix="rename the output in Graph.outputs; GraphCall.outputs gives it any name in the operation",
        )
    inputs = example_inputs(graph)
    first, again = run_graph(graph, inputs), run_graph(graph, inputs)
    batch = len(next(iter(inputs.values())))
    for output, tensor in first.items():
        if tensor.ndim < 1 or len(tensor) != batch:
            raise ConformanceError(
                found=f"graph {name!r}: output {output!r} has the shape {tuple(tensor.shape)} for a batch of {batch}",
                expected="the batch as first axis of every output",
                fix="return one row per image",
            )
        if not torch.equal(tensor, again[output]):
            raise ConformanceError(
                found=f"graph {name!r}: output {output!r} differs between two calls with the same inputs",
                expected="inference that draws nothing",
                fix="make the noise a latent input of the operation; the runtime draws it from a seed",
            )
        if not bool(tensor.isfinite().all()):
            raise ConformanceError(
                found=f"graph {name!r}: output {output!r} holds values that are not finite",
                expected="finite values for images in [-1, 1]",
                fix="guard divisions and roots with an epsilon",
            )


@promised("Model.Config")
def check_every_config_field_matters(cases: Sequence[PresetCase]) -> None:
    """Changing any field, in at least one preset, changes shapes, operations, graphs or what the graphs compute."""
    fields = list(cases[0].model.model_class.Config.model_fields)
    dead = [field for field in fields if not any(_matters(case, field) for case in cases)]
    if dead:
        tried = {field: [getattr(v, field) for v in variants(cases[0].config, field)] for field in dead}
        raise ConformanceError(
            found=f"Config of {cases[0].model}: changing {', '.join(dead)} changes nothing (tried {tried})",
            expected="every field to change tensors, operations, graphs or their outputs",
            fix="use it or delete it; what only training needs belongs into Options",
        )


@promised("Model.Config")
def check_every_config_can_be_exported(case: PresetCase) -> None:
    """What the Config accepts has operations, and graphs that they call: what is trained can be run."""
    kind = type(case.config)
    for field in kind.model_fields:
        for config in (*variants(case.config, field), *_odd(case.config, field)):
            with torch.device("meta"):
                model = case.model.model_class(config)
            try:
                check_declarations(model)
            except OptionError as error:
                raise ConformanceError(
                    found=f"{kind.__qualname__} accepts {field}={getattr(config, field)!r}: {error.found}",
                    expected="a ValidationError from the Config, before anything is built",
                    fix="give the field its bounds, or check it beside the others in a model_validator",
                ) from error


def _odd(config: Record, field: str) -> Iterator[Record]:
    """The record with numbers in place of this one that are no size of a network, as far as it accepts them."""
    value: object = getattr(config, field)
    if isinstance(value, bool) or not isinstance(value, int):
        return
    for number in ODD_NUMBERS:
        with suppress(ValidationError):
            yield type(config).model_validate({**dict(config), field: number})


def description(model: Model[Record]) -> JsonValue:
    """What a model looks like from outside: shapes of all tensors, operations, inputs and outputs of its graphs."""
    shapes: list[JsonValue] = [f"{name} {list(tensor.shape)}" for name, tensor in state(model.networks).items()]
    operations: list[JsonValue] = [operation.model_dump_json() for operation in model.operations()]
    graphs: list[JsonValue] = [
        f"{name} {graph.inputs} {graph.outputs} {sorted(graph.images)} {graph.tolerance} {graph.outliers}"
        for name, graph in resolved_graphs(model).items()
    ]
    return [shapes, operations, graphs]


def computes_the_same(one: Model[Record], other: Model[Record]) -> bool:
    """Whether two models look the same from outside and, with one's weights, compute the same. Changes the weights."""
    return description(one) == description(other) and not _outputs_differ(one, other)


def _matters(case: PresetCase, field: str) -> bool:
    base = case.build()
    for config in variants(case.config, field):
        try:
            other = build(case.model.model_class, config)
        except (I2IError, ValueError):
            continue  # values that the model itself refuses say nothing about the field
        if not computes_the_same(base, other):
            return True
    return False


def _outputs_differ(base: Model[Record], other: Model[Record]) -> bool:
    """Whether two models of one description compute different things with the same weights."""
    for name, network in base.networks.items():
        other.networks[name].load_state_dict(network.state_dict())
    others = resolved_graphs(other)
    return any(
        not _same(run_graph(graph, inputs).values(), run_graph(others[name], inputs).values())
        for name, graph in resolved_graphs(base).items()
        for inputs in [example_inputs(graph)]
    )


def _same(first: Iterable[Tensor], second: Iterable[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
