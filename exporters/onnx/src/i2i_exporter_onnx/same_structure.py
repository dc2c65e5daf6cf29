"""Graphs that differ in their weights only, as the two generators of CycleGAN do: one trace serves all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.onnx import ONNXProgram

from i2i_registry.interfaces.graphs import ResolvedGraph
from i2i_runtime.type_guards import is_dict, is_list, is_tuple


@dataclass(frozen=True, slots=True)
class TracedGraph:
    """A graph that was traced, its initializers under the names that the module gives its parameters and buffers."""

    graph: ResolvedGraph
    module: nn.Module
    """what was traced: a folded copy of the graph's module"""
    program: ONNXProgram
    """not optimised: an optimiser computes with weights"""

    def fits(self, graph: ResolvedGraph, module: nn.Module) -> bool:
        """Whether tracing `module` as `graph` would give this program with other values of its initializers."""
        interfaces = [(list(each.inputs.items()), tuple(each.outputs)) for each in (self.graph, graph)]
        return (
            interfaces[0] == interfaces[1]
            and _sharing(self.module) == _sharing(module)
            and _Comparison().is_alike(self.module, module)
        )

    def with_weights_of(self, module: nn.Module) -> ONNXProgram:
        """Return a copy of the program with the weights of a module that fits."""
        model, weights = self.program.model.clone(), dict(_weights(module))
        for name, value in model.graph.initializers.items():
            if name in weights:
                value.const_value = ir.tensor(weights[name].detach(), name=name)
        return ONNXProgram(model, self.program.exported_program)


@dataclass(slots=True)
class _Comparison:
    """Compares two modules with all that they hold; what it cannot judge counts as different."""

    seen: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """pairs of modules that are being compared: a module may hold one that it lies in"""

    def is_alike(self, one: object, other: object) -> bool:
        """Whether the two are equal, of parameters and buffers the form only."""
        if type(one) is not type(other):
            return False
        if isinstance(one, nn.Module) and isinstance(other, nn.Module):
            return self._modules_are_alike(one, other)
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one.dtype == other.dtype and torch.equal(one, other)
        if is_dict(one) and is_dict(other):
            return list(one) == list(other) and all(self.is_alike(value, other[key]) for key, value in one.items())
        if (is_list(one) and is_list(other)) or (is_tuple(one) and is_tuple(other)):
            return len(one) == len(other) and all(map(self.is_alike, one, other))
        return (one == other) is True

    def _modules_are_alike(self, one: nn.Module, other: nn.Module) -> bool:
        pair = (id(one), id(other))
        if pair in self.seen:
            return True
        self.seen.add(pair)
        return _forms(one) == _forms(other) and self.is_alike(_attributes(one), _attributes(other))


def _forms(module: nn.Module) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(name, tensor.shape, tensor.dtype) for name, tensor in _weights(module, of_parts=False)]


def _attributes(module: nn.Module) -> dict[str, object]:
    """Return what a module holds beside its weights: its parts, and whatever its author put there."""
    return {name: value for name, value in vars(module).items() if name not in {"_parameters", "_buffers"}}


def _weights(module: nn.Module, *, of_parts: bool = True) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers of a module by name, a shared one under all its names."""
    named = (module.named_parameters, module.named_buffers)
    return [item for tensors in named for item in tensors(recurse=of_parts, remove_duplicate=False)]


def _sharing(module: nn.Module) -> list[str]:
    """Return for each name of a weight the first name of the same tensor: shared tensors are traced as one."""
    first: dict[int, str] = {}
    return [first.setdefault(id(tensor), name) for name, tensor in _weights(module)]
