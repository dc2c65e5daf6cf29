"""From operations to the graphs that they call: names, axes and test values of all inputs, said once, and checked.

An input of a graph that is fed by an input of an operation has the axes and the test values of its kind. What one
graph makes and another takes is declared in `Model.intermediates`.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

from pydantic import ValidationError

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.config_values import as_set
from i2i_registry.interfaces.graphs import BATCH, Axis, Form, Graph, ResolvedGraph
from i2i_runtime.errors import OptionError
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

if TYPE_CHECKING:
    from i2i_registry.interfaces.model import Model


def resolved_graphs(model: Model[Record]) -> dict[str, ResolvedGraph]:
    """Return the graphs of a model with the inputs that its operations feed, in the order of `graphs()`.

    Raises PluginError, with the method to correct and its line, when an operation calls what is not there, feeds a
    graph what its module does not take, or takes what it does not return; ValueError when the operations themselves
    are not valid for the model's Config.
    """
    graphs = model.graphs()
    named = {name: _Calls(type(model), name, graph) for name, graph in graphs.items()}
    between = model.intermediates()
    for operation in model.operations():
        forms = {**between, **operation.forms}
        for call in operation.steps:
            if call.graph not in named:
                raise PluginError(
                    found=f"{operation.name} calls a graph {call.graph!r}",
                    expected=f"one of {', '.join(sorted(named)) or 'none, for there are no graphs'}",
                    fix=f"correct GraphCall.graph in {_place(type(model), 'operations')}, or add it to graphs()",
                )
            named[call.graph].add(operation, call, forms)
        for value in operation.of(ImageInput):
            if value.face and value.face.graph in named:
                named[value.face.graph].inputs[value.face.input].append(forms[value.name])
    return {name: calls.resolved() for name, calls in named.items()}


def check_declarations(model: Model[Record]) -> None:
    """Check that the model's Config has operations, and that its graphs take what they feed.

    Asked before a training takes its first step and before a checkpoint is stored, so that nobody trains for days what
    no export can ever carry. What only running tells is the exporter's to find.

    Raises OptionError when the Config is one that no operation allows, and PluginError when operations and graphs do
    not go together.
    """
    try:
        resolved_graphs(model)
    except ValidationError as error:
        raise _refused_config(
            model, "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        ) from error
    except ValueError as error:
        raise _refused_config(model, str(error)) from error


def _refused_config(model: Model[Record], reason: str) -> OptionError:
    config, usual = model.config, next(iter(type(model).presets.values()))
    changed = [key for key, value in usual if getattr(config, key) != value and isinstance(value, int | float | str)]
    given = ", ".join(f"{key}={getattr(config, key)}" for key in changed)
    return OptionError(
        found=f"{model.name} with {given or 'the values of its preset'}: {reason}",
        expected="values with which what is trained can be exported and run",
        fix=f"values that go together: {as_set(usual, changed)}" if changed else "this is a fault of the plugin",
    )


@dataclass
class _Calls:
    """All calls of one graph."""

    model: type[Model[Record]]
    name: str
    graph: Graph
    inputs: defaultdict[str, list[Form | None]] = field(default_factory=lambda: defaultdict(list))
    images: set[str] = field(default_factory=set[str])
    first: tuple[str, frozenset[str]] | None = None
    """the operation that calls it first, and what it feeds"""

    def add(self, operation: Operation, call: GraphCall, forms: Mapping[str, Form]) -> None:
        given = frozenset({*call.inputs, *call.constants})
        by, expected = self.first = self.first or (operation.name, given)
        if given != expected:
            self._refuse(
                f"{operation.name} feeds {sorted(given)} to graph {self.name!r}, and {by} feeds {sorted(expected)}",
                "calls that feed all inputs of a graph",
                "GraphCall.inputs and GraphCall.constants",
            )
        unknown = sorted(set(call.outputs) - set(self.graph.outputs))
        if unknown:
            self._refuse(
                f"{operation.name} takes {unknown} from graph {self.name!r}",
                f"some of its outputs: {list(self.graph.outputs)}",
                "GraphCall.outputs (graph output -> value)",
            )
        for target, source in call.inputs.items():
            self.inputs[target].append(forms.get(source))
        for target, number in call.constants.items():
            self.inputs[target].append(Form((BATCH,), "uniform", number, number))
        shown = {value.name for value in operation.outputs if isinstance(value, ImageOutput)}
        self.images |= {output for output, value in call.outputs.items() if value in shown}

    def resolved(self) -> ResolvedGraph:
        graph = self.graph
        inputs = {name: self._merged(name) for name in self._in_order()}
        return ResolvedGraph(
            graph.module,
            graph.outputs,
            graph.tolerance,
            graph.outliers,
            inputs=inputs,
            images=frozenset(self.images),
        )

    def _in_order(self) -> list[str]:
        """Return the inputs as the module's forward takes them."""
        kinds = inspect.signature(self.graph.module.forward).parameters
        named = [name for name, p in kinds.items() if p.kind is not inspect.Parameter.VAR_POSITIONAL]
        taken = [name for name in named if name in self.inputs]
        rest = [name for name in self.inputs if name not in named]
        due = [name for name in named if kinds[name].default is inspect.Parameter.empty]
        takes = f"{type(self.graph.module).__qualname__}.forward takes {', '.join(kinds) or 'nothing'}"
        if not self.inputs:
            self._refuse(f"no operation calls graph {self.name!r}", "graphs that operations call", "operations()")
        if (rest and len(named) == len(kinds)) or taken != named[: len(taken)] or set(due) - set(taken):
            self._refuse(
                f"graph {self.name!r} is fed {', '.join(self.inputs)}, and {takes}",
                "the same names, none left out before another",
                "GraphCall.inputs (graph input -> value)",
            )
        return taken + rest

    def _merged(self, name: str) -> Form:
        """One input as all of its sources allow it."""
        forms = [form for form in self.inputs[name] if form is not None]
        if not forms:
            raise PluginError(
                found=f"nothing says what {name!r} of graph {self.name!r} looks like: another graph makes it",
                expected="its axes and test values, said once",
                fix=f"give {_place(self.model, 'intermediates')} a Form for the value",
            )
        merged = forms[0]
        for form in forms[1:]:
            axes = _axes_of_both(merged, form)
            if axes is None:
                self._refuse(
                    f"graph {self.name!r} is fed {name!r} as {_shown(merged)} and as {_shown(form)}",
                    "one shape in all operations",
                    "the inputs",
                )
            values = form.values if merged.values == "uniform" else merged.values
            merged = replace(
                merged, axes=axes, values=values, low=min(merged.low, form.low), high=max(merged.high, form.high)
            )
        return merged

    def _refuse(self, found: str, expected: str, what: str) -> NoReturn:
        raise PluginError(found=found, expected=expected, fix=f"correct {what} in {_place(self.model, 'operations')}")


def _place(model: type[Model[Record]], method: str) -> str:
    """Return a method, and where it is written; without the place where that cannot be read."""
    name = f"{model.__qualname__}.{method}()"
    try:
        function = getattr(model, method)
        return f"{name} ({inspect.getsourcefile(function)}, line {inspect.getsourcelines(function)[1]})"
    except (OSError, TypeError):
        return name


def _axes_of_both(one: Form, other: Form) -> tuple[int | Axis, ...] | None:
    """Axes that allow both; None where there are none."""
    if len(one.axes) != len(other.axes):
        return None
    axes = [_either(*pair) for pair in zip(one.axes, other.axes, strict=True)]
    return None if None in axes else tuple(axis for axis in axes if axis is not None)


def _either(one: int | Axis, other: int | Axis) -> int | Axis | None:
    if isinstance(one, int):
        one, other = other, one
    if isinstance(one, int):
        return one if one == other else None
    if isinstance(other, int):
        return one if other % one.multiple == 0 and other >= one.minimum else None
    multiple, minimum = math.gcd(one.multiple, other.multiple), min(one.minimum, other.minimum)
    return replace(one, multiple=multiple, minimum=minimum)


def _shown(tensor: Form) -> str:
    """Return the axes in words."""
    return str([axis.name if isinstance(axis, Axis) else axis for axis in tensor.axes])
