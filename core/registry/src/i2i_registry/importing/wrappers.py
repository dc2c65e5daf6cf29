"""What people put around a state dict before they save it, taken off again.

    _orig_mod.model.1.weight             torch.compile
    {"state_dict": ..., "epoch": 7}      most training loops; "model", "params", ...
    {"ema": ..., "model": ...}           averages beside the weights that they are of: the averages are taken
    {"netG": ..., "netD": ...}           several networks in one file
    generator.model.1.weight             a network inside a larger module (Lightning)

Whatever is recognised with fewer wrappers off comes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    """Yield the parts of the tensors whose names begin alike, level by level; what lies beside them, `beside` tells."""
    level = [unwrapped]
    for _ in range(MOST_DEPTH):
        level = [part for each in level for part in _split(each)][:MOST_PARTS]
        if level:
            yield level


def part_at(unwrapped: Unwrapped, place: str) -> Unwrapped:
    """Return the tensors behind one place; none where no name begins so."""
    start = f"{place}."
    inside = {name.removeprefix(start): tensor for name, tensor in unwrapped.tensors.items() if name.startswith(start)}
    return replace(unwrapped, tensors=inside, place=place)


def beside(unwrapped: Unwrapped, part: Unwrapped) -> Unwrapped:
    """Return the part of the tensors, with all others as left out."""
    if not part.place:
        return part
    reason = f"beside {printable(part.place)}, which was taken"
    left = {name: reason for name in unwrapped.tensors if not name.startswith(f"{part.place}.")}
    return replace(part, left_out={**part.left_out, **left})


def _split(unwrapped: Unwrapped) -> Iterator[Unwrapped]:
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in unwrapped.tensors.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups[first][rest] = tensor
    for first, tensors in groups.items():
        yield replace(unwrapped, tensors=tensors, place=f"{unwrapped.place}.{first}" if unwrapped.place else first)


def _compiled_off(tensors: Mapping[str, Tensor]) -> Unwrapped | None:
    bare = {".".join(part for part in name.split(".") if part != COMPILED): tensor for name, tensor in tensors.items()}
    if bare.keys() == tensors.keys() or len(bare) < len(tensors):
        return None
    return Unwrapped(bare, remarks=(f"wrapper taken off: {COMPILED} (torch.compile)",))


def _containers_off(unwrapped: Unwrapped, prefixes: tuple[str, ...]) -> Iterator[Unwrapped]:
    """With the container of each file opened; averages before the weights that they are of."""
    files: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in unwrapped.tensors.items():
        prefix = _prefix_of(name, frozenset(prefixes))
        files[prefix][name.removeprefix(f"{prefix}.") if prefix else name] = tensor
    tensors: dict[str, Tensor] = {}
    left: dict[str, str] = dict(unwrapped.left_out)
    opened: dict[str, None] = {}
    for prefix, content in files.items():
        start, container = f"{prefix}." if prefix else "", _container(content)
        for name, tensor in content.items():
            if not container:
                tensors[start + name] = tensor
            elif name.startswith(f"{container}."):
                tensors[start + name.removeprefix(f"{container}.")] = tensor
            else:
                left[start + name] = f"beside {container}, which holds the network"
        opened |= {container: None} if container else {}
    if opened:
        remarks = [f"wrapper taken off: {name}" + (" (averages)" if name in AVERAGES else "") for name in opened]
        yield Unwrapped(tensors, left, (*unwrapped.remarks, *remarks))


def _prefix_of(name: str, prefixes: frozenset[str]) -> str:
    """Return the prefix of the file that a tensor is in."""
    path = name.split(".")
    found = (prefix for count in range(1, len(path)) if (prefix := ".".join(path[:count])) in prefixes)
    return next(found, "") if prefixes else ""


def _container(content: Mapping[str, Tensor]) -> str:
    """Return the key that holds the network of a file, if it has one of the usual names."""
    firsts = {name.partition(".")[0] for name in content if "." in name}
    return next((name for name in (*AVERAGES, *PLAIN) if name in firsts), "")
