"""Changes to a copy of a module that must not change its numbers, made before it is traced.

Spectral and weight normalisation compute their weight anew in every call. Folded, the graph holds one plain weight.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from i2i_registry.errors import ExportError
from i2i_registry.interfaces.evaluating import evaluating

TOLERANCE = 1e-5
"""Relative. Folding repeats the module's own arithmetic once, so what remains is the order of a few fp32 sums."""


def folded(module: nn.Module, example: tuple[Tensor, ...], graph: str) -> nn.Module:
    """Return a copy of the module in evaluation mode with every weight normalisation computed once and for all.

    Raises ExportError when the copy does not give what the module gives on `example`.
    """
    rewritten = _copy(module).eval()
    names = [name for name, part in rewritten.named_modules() if _fold(part)]
    if names:
        _check_same(module, rewritten, example, f"graph {graph!r}: folding the normalised weights of {names}")
    return rewritten


def outputs_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what the module returns, as a tuple even when it is one tensor."""
    result: Tensor | tuple[Tensor, ...] | list[Tensor] = module(*inputs)
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _copy(module: nn.Module) -> nn.Module:
    """Return a deep copy. Hook-style norms leave their computed weight as a plain attribute, which deepcopy refuses."""
    memo: dict[int, object] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(module, memo)


def _fold(part: nn.Module) -> bool:
    """Fold every normalised weight of this very module; whether there was one."""
    found = False
    with torch.no_grad():
        # The hooks are the only trace that the older style leaves on a module, and they have no public name.
        for hook in list(part._forward_pre_hooks.values()):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
                found = True
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
                found = True
        if parametrize.is_parametrized(part):
            _give_own_class(part)
            for name in list(part.parametrizations):  # pyright: ignore[reportArgumentType] - a ModuleDict by contract
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
                found = True
    return found


def _give_own_class(part: nn.Module) -> None:
    """Parametrised tensors are properties of a class made for the module, which its copies share: part them."""
    shared = type(part)
    members = {key: value for key, value in vars(shared).items() if key not in {"__dict__", "__weakref__"}}
    part.__class__ = cast("type[nn.Module]", type(shared.__name__, shared.__bases__, members))


def _check_same(module: nn.Module, rewritten: nn.Module, example: tuple[Tensor, ...], what: str) -> None:
    with evaluating(module), torch.no_grad():
        expected = outputs_of(module, example)
        given = outputs_of(rewritten, example)
    for before, after in zip(expected, given, strict=True):
        largest = before.abs().max().item()
        error = (before - after).abs().max().item()
        if not error <= TOLERANCE * max(largest, torch.finfo(torch.float32).tiny):
            raise ExportError(
                found=f"{what} changed an output by {error:.3g} (largest value {largest:.3g})",
                expected=f"at most {TOLERANCE:g} of the largest value",
                fix="run the network once in training mode so that the power iteration has settled, then save it again",
            )
