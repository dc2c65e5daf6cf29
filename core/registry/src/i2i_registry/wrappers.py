"""What people put around a state dict before they save it, taken off again.

    _orig_mod.model.1.weight             torch.compile
    {"state_dict": ..., "epoch": 7}      most training loops; "model", "params", ...
    {"ema": ..., "model": ...}           averages beside the weights that they are of: the averages are taken
    {"netG": ..., "netD": ...}           several networks in one file
    generator.model.1.weight             a network inside a larger module (Lightning)

Whatever is recognised with fewer wrappers off comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from torch import Tensor

COMPILED = "_orig_mod"
AVERAGES = ("ema", "model_ema", "ema_model", "params_ema", "state_dict_ema", "ema_state_dict", "ema_params")
PLAIN = ("state_dict", "model_state_dict", "model", "params", "weights", "net", "network", "generator_state_dict")
MOST_DEPTH = 3
"""Levels of names that are looked into for a network."""
MOST_PARTS = 256


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The tensors inside a wrapper."""

    tensors: Mapping[str, Tensor]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """name in the file -> why"""
    remarks: tuple[str, ...] = ()
    place: str = ""
    """where the network lies in the file: "netG"; empty for all of it"""


def whole(tensors: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> Iterator[Unwrapped]:
    """All of the tensors: as they are, and with the usual wrappers off, if there are some.

    `prefixes`: what the names begin with, a file each; a wrapper lies behind it.
    """
    yield Unwrapped(tensors)
    bare = _compiled_off(tensors)
    if bare is not None:
        yield bare
    yield from _containers_off(bare or Unwrapped(tensors), prefixes)


def parts(unwrapped: Unwrapped) -> Iterator[list[Unwrapped]]:
    """The parts of the tensors whose names begin alike, level by level."""
    levels = [unwrapped]
    for _ in range(MOST_DEPTH):
        levels = [part for each in levels for part in _split(each)][:MOST_PARTS]
        if levels:
            yield levels


def part_at(unwrapped: Unwrapped, place: str) -> Unwrapped:
    """The tensors behind one place; none where no name begins so."""
    start = f"{place}."
    inside = {name.removeprefix(start): tensor for name, tensor in unwrapped.tensors.items() if name.startswith(start)}
    reason = f"beside {printable(place)}, which was taken"
    left = {name: reason for name in unwrapped.tensors if not name.startswith(start)}
    at = f"{unwrapped.place}.{place}" if unwrapped.place else place
    return Unwrapped(inside, {**unwrapped.left_out, **left}, unwrapped.remarks, at)


def _split(unwrapped: Unwrapped) -> Iterator[Unwrapped]:
    firsts = dict.fromkeys(name.partition(".")[0] for name in unwrapped.tensors if "." in name)
    return (part_at(unwrapped, first) for first in list(firsts)[:MOST_PARTS])


def _compiled_off(tensors: Mapping[str, Tensor]) -> Unwrapped | None:
    bare = {".".join(part for part in name.split(".") if part != COMPILED): tensor for name, tensor in tensors.items()}
    if bare.keys() == tensors.keys() or len(bare) < len(tensors):
        return None
    return Unwrapped(bare, remarks=(f"wrapper taken off: {COMPILED} (torch.compile)",))


def _containers_off(unwrapped: Unwrapped, prefixes: tuple[str, ...]) -> Iterator[Unwrapped]:
    """With the container of each file opened; averages before the weights that they are of."""
    tensors: dict[str, Tensor] = {}
    left: dict[str, str] = dict(unwrapped.left_out)
    opened: dict[str, str] = {}
    for name, tensor in unwrapped.tensors.items():
        prefix = next((each for each in prefixes if each and name.startswith(f"{each}.")), "")
        start = f"{prefix}." if prefix else ""
        container = opened.setdefault(prefix, _container(unwrapped.tensors, start))
        inside = f"{start}{container}."
        if not container:
            tensors[name] = tensor
        elif name.startswith(inside):
            tensors[start + name.removeprefix(inside)] = tensor
        else:
            left[name] = f"beside {container}, which holds the network"
    names = [name for name in dict.fromkeys(opened.values()) if name]
    if names:
        remarks = [f"wrapper taken off: {name}" + (" (averages)" if name in AVERAGES else "") for name in names]
        yield Unwrapped(tensors, left, (*unwrapped.remarks, *remarks))


def _container(tensors: Mapping[str, Tensor], start: str) -> str:
    """The key that holds the network of a file, if it has one of the usual names."""
    firsts = {name.removeprefix(start).partition(".")[0] for name in tensors if name.startswith(start)}
    return next((name for name in (*AVERAGES, *PLAIN) if name in firsts), "")
