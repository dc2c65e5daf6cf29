"""Weights survive the disk bit by bit, and decide alone what a model computes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from i2i_conformance.building import state, stirred
from i2i_conformance.cases import PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.reference import example_inputs, run_graph
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_registry.weights.loading import load_into, save


@promised("Model.networks")
def check_round_trip(case: PresetCase, folder: Path) -> None:
    """Saved as safetensors and loaded into a model with other initial weights, every tensor and output is the same."""
    model, other = stirred(case.build(seed=0)), case.build(seed=1)
    file = folder / "weights.safetensors"
    save(model, file)
    load_into(other, file)
    for name, tensor in state(model.networks).items():
        if not same_bits(tensor, state(other.networks)[name]):
            raise ConformanceError(
                found=f"{name} differs after saving and loading",
                expected="the same bits",
                fix="a state-dict hook or a parametrization rewrites it: keep plain tensors in inference networks",
            )
    graphs = resolved_graphs(other)
    for name, graph in resolved_graphs(model).items():
        inputs = example_inputs(graph)
        expected, found = run_graph(graph, inputs), run_graph(graphs[name], inputs)
        different = [output for output, tensor in expected.items() if not torch.equal(tensor, found[output])]
        if different:
            raise ConformanceError(
                found=f"graph {name!r} gives another {', '.join(different)} after its weights were saved and loaded",
                expected="outputs that depend on the saved tensors only",
                fix="register what the network keeps as parameters or buffers (persistent ones), drawn nowhere else",
            )


@promised("Model.networks")
def check_seed_decides(case: PresetCase) -> None:
    """Two models built with one seed are equal bit by bit."""
    first, second = state(case.build().networks), state(case.build().networks)
    different = [name for name, tensor in first.items() if not same_bits(tensor, second[name])]
    if different:
        raise ConformanceError(
            found=f"{different[0]} and {len(different) - 1} more differ between two models built with one seed",
            expected="initial weights drawn from torch's, numpy's or Python's global generator",
            fix="do not seed or make generators in the constructor",
        )


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bits (NaN equals itself)."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return (
        torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
        if one.ndim
        else (torch.equal(one, other))
    )
